import { JournalReader, type ClosedStep, type Shard } from 'troupe/training'

/**
 * The steps that server 0 has closed, as it told of them.
 *
 * @param from the first step of each line that is wanted; see `Shard.closedSteps`
 */
export function closedSteps(shard: Shard, from: readonly number[]): ClosedStep[] {
  const steps: ClosedStep[] = []
  for (const [line, closed] of shard.closedSteps.entries()) {
    const image = shard.journal(line, closed)
    const reader = new JournalReader(image)
    const rank = shard.loose ? line : null
    for (let step = Math.max(from[line] ?? 0, image.first); step < image.steps; step++) {
      steps.push({ step, rank, ...reader.entry(step)! })
    }
  }
  return steps
}
