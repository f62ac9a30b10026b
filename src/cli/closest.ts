/** A name further away than this part of its length is no slip of the finger. */
const MAX_DISTANCE_PART = 0.4

/** The known name that `text` was probably meant to be; undefined when none is near. */
export function closest(text: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map(name => ({ name, edits: editDistance(text, name) }))
    .toSorted((a, b) => a.edits - b.edits)
  const best = ranked[0]
  return best !== undefined && best.edits <= MAX_DISTANCE_PART * best.name.length ? best.name : undefined
}

/** Levenshtein's: how many characters must be put in, taken out or replaced. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[to.length] as number
}
