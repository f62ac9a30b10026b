import { TroupeError } from '../errors.js'
import { NUMBERS_PER_SLICE, type Attachment } from './attached-worker.js'
import { atomicBells, type Bells } from './bell.js'
import { ExchangeRegion, PARKED, type PushRecord } from './exchange-region.js'
import { JobModel } from './job-model.js'
import type { JournalEntry } from './journal.js'
import type { ModelPart } from './model-spec.js'
import { ShardArea } from './shard-area.js'

/** How often a pull begins anew because the shard went on meanwhile, in the modes beside exact mode. */
const MAX_PULLS = 8

/** A slice of a variable, as a worker exchanges it. */
export interface ExchangedSlice {
  /** The shard that holds it. */
  readonly shard: number
  /** First element within the variable. */
  readonly offset: number
  readonly length: number
  /** Where its gradient is written, or for state its value. */
  readonly target: Float32Array
  /** After {@link RankExchange.pull}: its weights, until the next one. */
  readonly pulled: Float32Array
}

/** What one shard holds of a slice. */
interface SharedSlice extends ExchangedSlice {
  readonly versions: readonly [Float32Array, Float32Array]
  readonly sides: Int32Array
  /** Memory of its own, where versions may change while they are read. */
  readonly copy: Float32Array | undefined
  pulled: Float32Array
}

/** Something that a rank waits for: a condition that changes with the pulse of an area. */
export interface Obstacle {
  readonly area: ShardArea
  readonly isGone: () => boolean
}

export interface RankExchangeParts {
  readonly region: SharedArrayBuffer
  readonly shards: number
  /** See `ShardOptions`. */
  readonly staleness: number
  readonly bells?: Bells
}

/** What happens beside a push. */
export interface PushSteps {
  /** Writes the values that a shard holds, just before they are pushed: one shard computes while others are written. */
  readonly write?: (shard: number) => void
  /** Called after each shard's commit. */
  readonly afterCommit?: (shard: number) => void
}

/** One rank's side of the exchange with the shards, without tensors: leaves pushes, takes answers. */
export class RankExchange {
  readonly region: ExchangeRegion
  readonly #model: JobModel
  readonly #staleness: number
  readonly #bells: Bells
  readonly #areas: ShardArea[] = []
  /** By part, then variable. */
  readonly #parts: SharedSlice[][][] = []
  /** The cut that the last answer named. */
  #cutAt = 0
  /** What was waited for last. */
  #step = 0

  constructor({ region, shards, staleness, bells = atomicBells }: RankExchangeParts) {
    this.region = new ExchangeRegion(region)
    this.#model = new JobModel(shards)
    this.#staleness = staleness
    this.#bells = bells
  }

  /** Each shard's, once a part was added. */
  get areas(): readonly ShardArea[] {
    return this.#areas
  }

  /** Takes the next part, as the shards answered for it: one attachment each, in order. */
  addPart(spec: ModelPart, attachments: readonly Attachment[]): void {
    const { variables } = this.#model.add(spec)
    if (this.#areas.length === 0) {
      for (const { area } of attachments) this.#areas.push(new ShardArea(area, this.#bells))
    }
    const used = attachments.map(() => 0)
    this.#parts.push(
      variables.map(({ slices }) =>
        slices.map(({ shard, offset, length }) => {
          const { memory, block, slices: numbers } = attachments[shard]!
          const at = used[shard]! * NUMBERS_PER_SLICE
          used[shard]! += 1
          const [even, odd, parity, target] = numbers.subarray(at, at + NUMBERS_PER_SLICE) as unknown as [
            number,
            number,
            number,
            number,
          ]
          const versions = [
            new Float32Array(memory, even, length),
            new Float32Array(memory, odd, length),
          ] as const
          const copy = this.#loose ? new Float32Array(length) : undefined
          return {
            shard,
            offset,
            length,
            target: new Float32Array(memory, block + target, length),
            versions,
            sides: new Int32Array(memory, parity, 2),
            copy,
            pulled: copy ?? versions[0],
          }
        }),
      ),
    )
  }

  /** A part's slices, by variable. */
  slices(part: number): readonly (readonly ExchangedSlice[])[] {
    return this.#parts[part]!
  }

  /** Makes a push visible to one shard after the other; its values lie in their places, or are written shard by shard. */
  push(
    record: Omit<PushRecord, 'cutAt'>,
    outputs: ArrayLike<number>,
    { write, afterCommit }: PushSteps = {},
  ): void {
    this.stage(record, outputs)
    for (const shard of this.#areas.keys()) {
      write?.(shard)
      this.commit(shard)
      afterCommit?.(shard)
    }
  }

  /** Writes a push; nobody sees it before {@link commit}. */
  stage(record: Omit<PushRecord, 'cutAt'>, outputs: ArrayLike<number>): void {
    this.region.stage({ ...record, cutAt: this.#cutAt }, outputs)
  }

  /** Makes the staged push visible to one shard. */
  commit(shard: number): void {
    this.region.commit(shard)
    this.#areas[shard]!.bell.ring()
  }

  /**
   * What keeps the rank from computing a step, whose predecessors it has pushed: an answer that is not there, a rank
   * that is too far behind, a cut. Undefined: nothing. To be asked again after each wait.
   */
  obstacle(step: number): Obstacle | undefined {
    this.#step = step
    for (const area of this.#areas) {
      const answer = this.#answerOf(area, step)
      if (!answer.isGone()) return answer
    }
    return this.#loose ? this.#looseObstacle(step) : undefined
  }

  /**
   * Blocks the calling thread until the rank may compute a step.
   *
   * @throws ERR_PROGRAM_STOPPED when a shard goes away
   */
  wait(step: number): void {
    for (let obstacle = this.obstacle(step); obstacle !== undefined; obstacle = this.obstacle(step)) {
      waitOut(obstacle, step)
    }
  }

  /** What user code sees of the step before this one, which is answered. Of a step that this incarnation pushed. */
  answer(step: number): JournalEntry {
    if (this.#loose) {
      const { part, rows } = this.region.record()
      return { part, rows, outputs: this.region.outputs().slice() }
    }
    const [first] = this.#areas
    const { part, rows } = first!.answer(step)
    const width = this.#model.parts[part]?.spec.outputs.length ?? 0
    return { part, rows, outputs: first!.outputs(step, width).slice() }
  }

  /**
   * Does as {@link wait} and {@link pull} do, one shard after the other: what one has made is read while others compute.
   *
   * @param take may read the slices of this shard
   * @throws ERR_PROGRAM_STOPPED when a shard goes away
   */
  receive(part: number, step: number, take: (shard: number) => void): void {
    if (this.#loose) {
      this.wait(step)
      this.pull(part, step)
      for (const shard of this.#areas.keys()) take(shard)
      return
    }
    this.#step = step
    for (const [shard, area] of this.#areas.entries()) {
      waitOut(this.#answerOf(area, step), step)
      this.#pullExact(part, step, shard)
      take(shard)
    }
  }

  /** Fetches a part's weights for computing a step, for which {@link wait} has waited. */
  pull(part: number, step: number): void {
    if (!this.#loose) {
      for (const shard of this.#areas.keys()) this.#pullExact(part, step, shard)
      return
    }
    const slices = this.#parts[part]!.flat()
    for (const [shard, area] of this.#areas.entries()) {
      const here = slices.filter(slice => slice.shard === shard)
      for (let pulls = 1; ; pulls++) {
        const { version } = area
        for (const { copy, versions, sides } of here) copy!.set(versions[sides[version % 2] as 0 | 1])
        // Two versions later what was read is written over. After many pulls a mixture is better than none.
        if (area.version <= version + 1 || pulls === MAX_PULLS) break
      }
    }
  }

  /**
   * Runs what may block until other ranks go on, such as a wait for the chief: a cut does not wait for it. Nothing is
   * pushed meanwhile.
   */
  parked<T>(run: () => T): T {
    const leave = this.park()
    if (leave === undefined) return run()
    try {
      return run()
    } finally {
      leave()
      this.wait(this.#step)
    }
  }

  /** One shard's answer to what was pushed before a step. */
  #answerOf(area: ShardArea, step: number): Obstacle {
    const { rank } = this.region
    return { area, isGone: () => (this.#loose ? area.applied(rank) : area.version) >= step }
  }

  #pullExact(part: number, step: number, shard: number): void {
    if (shard === 0) this.#cutAt = this.#areas[0]!.answer(step).cutAt
    for (const slices of this.#parts[part]!) {
      for (const slice of slices) {
        if (slice.shard === shard) slice.pulled = slice.versions[slice.sides[step % 2] as 0 | 1]
      }
    }
  }

  /**
   * As {@link parked}, for a program that does not block its thread.
   *
   * @returns what ends it; then {@link obstacle} is to be asked before the rank goes on. Undefined where it changes nothing
   */
  park(): (() => void) | undefined {
    if (!this.#loose || !this.#isEven(this.#step)) return undefined
    this.#halt(PARKED)
    return () => {
      this.region.halted = 0
    }
  }

  get #loose(): boolean {
    return this.#staleness > 0
  }

  #looseObstacle(step: number): Obstacle | undefined {
    const [area] = this.#areas
    if (area === undefined) return undefined
    const { marker } = area
    if (marker !== 0 && this.#isEven(step)) {
      this.#halt(marker)
      return { area, isGone: () => area.marker !== marker }
    }
    this.region.halted = 0
    // A marker that was raised before this word changed may have counted on it.
    if (area.marker !== marker) return this.#looseObstacle(step)
    if (step - area.floor <= this.#staleness) return undefined
    return { area, isGone: () => step - area.floor <= this.#staleness || area.marker !== marker }
  }

  /**
   * Whether all shards have the same steps of this rank. Of one whose predecessor died between two pushes they have
   * not: it has to make that step, whatever else is wanted of it.
   */
  #isEven(step: number): boolean {
    const { rank } = this.region
    return this.#areas.every(area => area.applied(rank) === step)
  }

  #halt(marker: number): void {
    if (this.region.halted === marker) return
    this.region.halted = marker
    for (const area of this.#areas) area.bell.ring()
  }
}

function waitOut({ area, isGone }: Obstacle, step: number): void {
  if (area.waitUntil(isGone) === 'there') return
  throw new TroupeError(
    'ERR_PROGRAM_STOPPED',
    `parameter server ${area.shard} stopped before step ${step} could begin`,
  )
}
