/**
 * One asker in a chain of asks: the actor that is busy with message number `sequence` of its incarnation while it
 * waits. Travels with asks; two links are the same when all three agree.
 */
export interface ChainLink {
  readonly path: string
  readonly incarnation: number
  readonly sequence: number
  readonly parent: ChainLink | undefined
}

/** The paths of a chain, outermost first. */
export function chainPaths(link: ChainLink | undefined): string[] {
  const paths: string[] = []
  for (let at = link; at !== undefined; at = at.parent) paths.unshift(at.path)
  return paths
}
