// Shards and ranks in one thread, without programs: the values of a push are a function of (step, rank) alone.
import {
  assemble,
  ExchangeRegion,
  introducedValues,
  JobModel,
  localBells,
  optimizerSpec,
  RankExchange,
  Shard,
  WEIGHTS_KIND,
  weightsSha256,
  type ClosedStep,
  type ModelPart,
  type NormSums,
  type RefusedPush,
  type ShardCut,
  type ShardOptions,
  type SnapshotTensor,
  type TrainingState,
  type WorkerId,
} from '../../src/training/index.js'

export const ADAM: ModelPart = {
  variables: [
    { name: 'kernel', shape: [90, 50], trainable: true },
    { name: 'bias', shape: [50], trainable: true },
    { name: 'wide', shape: [700], trainable: true },
    { name: 'mean', shape: [30], trainable: false },
  ],
  optimizer: optimizerSpec('adam-0', 'adam', 0.01),
  outputs: ['loss', 'acc'],
}

/** Shares `kernel` with the other part, and brings a variable of its own. */
export const MOMENTUM: ModelPart = {
  variables: [
    { name: 'kernel', shape: [90, 50], trainable: true },
    { name: 'late', shape: [40, 40], trainable: true },
  ],
  optimizer: optimizerSpec('momentum-0', 'momentum', { learningRate: 0.1, globalClipNorm: 3 }),
  outputs: ['loss'],
}

export type ClusterOptions = Partial<Omit<ShardOptions, 'shard'>> & {
  readonly parts?: readonly ModelPart[]
  /** Which part a step trains. */
  readonly partOf?: (step: number) => number
  /** Rows of a rank's batch; 0 is a batch that weighs nothing. */
  readonly rows?: (step: number, rank: number) => number
}

export class ShardCluster {
  readonly options: ClusterOptions & { readonly shards: number; readonly ranks: number }
  shards: Shard[]
  generation: number
  readonly incarnation: number[]
  readonly ranks: RankExchange[] = []
  readonly joined: number[] = []
  closed: ClosedStep[] = []
  readonly refused: RefusedPush[] = []
  /** Of each version, by shard. */
  readonly cuts = new Map<number, ShardCut[]>()
  readonly skipped: number[] = []
  /** Norms under way between shards. */
  norms: { readonly to: number; readonly norms: NormSums }[] = []

  constructor(options: ClusterOptions) {
    const { shards = 1, ranks = 2, generation = 4 } = options
    this.options = { ...options, shards, ranks }
    this.generation = generation
    this.incarnation = new Array<number>(ranks).fill(0)
    this.shards = this.#newShards(shards)
    for (let rank = 0; rank < ranks; rank++) this.enlist(rank)
  }

  get parts(): readonly ModelPart[] {
    return this.options.parts ?? [ADAM]
  }

  worker(rank: number): WorkerId {
    return { generation: this.generation, rank, incarnation: this.incarnation[rank]! }
  }

  /** A new incarnation of the rank's worker; returns the step it has to compute. */
  enlist(rank: number): number {
    this.incarnation[rank]! += 1
    const { generation, incarnation } = this.worker(rank)
    const answers = this.shards.map(shard => shard.enlist(this.worker(rank)))
    const shards = this.shards.length
    const region = ExchangeRegion.create({ generation, incarnation, rank, shards }).buffer
    const { staleness = 0 } = this.options
    this.ranks[rank] = new RankExchange({ region, shards, staleness, bells: quiet })
    this.joined[rank] = 0
    return Math.min(...answers.map(({ next }) => next))
  }

  /** Joins every part up to this one, as a program does on its way there. */
  join(rank: number, part: number): void {
    for (let number = this.joined[rank]!; number <= part; number++) {
      const spec = this.parts[number]!
      const model = new JobModel(this.shards.length, this.parts.slice(0, number))
      const placed = model.add(spec)
      for (const [s, shard] of this.shards.entries()) {
        if (shard.parts > number) continue
        const initial = placed.introduces.map(position => initialValues(spec.variables[position]!))
        shard.define(this.worker(0), number, spec, introducedValues(placed, s, initial))
      }
      const { buffer } = this.ranks[rank]!.region
      this.ranks[rank]!.addPart(
        spec,
        this.shards.map(shard => shard.attach(this.worker(rank), number, spec, buffer)),
      )
      this.joined[rank] = number + 1
    }
  }

  partOf(step: number): number {
    return this.options.partOf?.(step) ?? 0
  }

  /** Writes a rank's push, for all shards or some. */
  push(rank: number, step: number, shards = this.shards.map((_, s) => s)): void {
    const part = this.partOf(step)
    this.join(rank, part)
    const exchange = this.ranks[rank]!
    // What the last answer named travels with the push.
    const begun = this.shards.some((_, s) => exchange.region.committed(s) === step)
    if (!begun && this.isReady(rank, step)) exchange.pull(part, step)
    for (const [v, slices] of exchange.slices(part).entries()) {
      for (const { offset, target } of slices) {
        for (let i = 0; i < target.length; i++) target[i] = Math.cos(step * 31 + rank * 7 + v + offset + i)
      }
    }
    const rows = this.options.rows?.(step, rank) ?? ((step + rank) % 3) * 8
    const outputs = this.parts[part]!.outputs.map((_, k) => (k === 0 ? 1 / (step + 1) : rank / 10))
    exchange.stage({ step, part, rows }, outputs)
    for (const s of shards) exchange.commit(s)
  }

  isReady(rank: number, step: number): boolean {
    return this.ranks[rank]!.obstacle(step) === undefined
  }

  /** Looks once at everything that one shard has to look at. */
  scan(shard: number): void {
    const scan = this.shards[shard]!.scan()
    if (shard === 0) this.closed.push(...scan.closed)
    this.refused.push(...scan.refused)
    this.skipped.push(...scan.skipped)
    for (const cut of scan.cuts) this.cuts.set(cut.version, [...(this.cuts.get(cut.version) ?? []), cut])
    for (const norms of scan.norms) {
      for (const to of this.shards.keys()) if (to !== shard) this.norms.push({ to, norms })
    }
  }

  deliverNorms(): void {
    for (const { to, norms } of this.norms.splice(0)) this.shards[to]!.takeNorms(norms)
  }

  /** Until nothing happens any more. */
  settle(): void {
    do {
      this.deliverNorms()
      for (const s of this.shards.keys()) this.scan(s)
    } while (this.norms.length > 0)
  }

  /** Steps [from, to) of all ranks, without disturbance. */
  train(to: number, from = this.shards[0]!.version): void {
    for (let step = from; step < to; step++) {
      for (let rank = 0; rank < this.options.ranks; rank++) this.push(rank, step)
      this.settle()
    }
  }

  /** A cut of all shards, with values of its own: as from a checkpoint. */
  takeCut(version: number): { state: TrainingState; pieces: SnapshotTensor[] } {
    const cuts = this.cuts.get(version) ?? []
    if (cuts.length !== this.shards.length) throw new Error(`${cuts.length} parts of cut ${version}`)
    const state = structuredClone(cuts.find(cut => cut.state !== null)!.state!)
    const pieces = cuts.flatMap(({ tensors }) =>
      tensors.map(tensor => ({ ...tensor, values: Float32Array.from(tensor.values) })),
    )
    for (const [s, shard] of this.shards.entries()) {
      const cut = cuts.find(each => each.shard === s)!
      shard.releaseCut(cut)
    }
    return { state, pieces }
  }

  /** All go back; ranks begin anew. */
  restore(
    cut: { state: TrainingState; pieces: readonly SnapshotTensor[] },
    lost: readonly number[] = [],
  ): void {
    this.generation += 1
    this.norms = []
    const fresh = this.#newShards(this.shards.length)
    for (const s of lost) this.shards[s] = fresh[s]!
    for (const shard of this.shards) {
      if (shard.generation < this.generation || !shard.defined) {
        shard.restore(this.generation, cut.state, cut.pieces)
      }
    }
    for (let rank = 0; rank < this.options.ranks; rank++) this.enlist(rank)
  }

  /** SHA-256 of the weights, then of each slot. */
  hashes(): string[] {
    const tensors = this.shards.flatMap(shard => shard.tensors())
    const { variables } = this.shards[0]!.model
    const kinds = [...new Set(tensors.map(({ kind }) => kind))].sort()
    return [WEIGHTS_KIND, ...kinds].map(kind => weightsSha256(variables, assemble(variables, tensors, kind)))
  }

  /** [step, rows, outputs…] */
  history(): number[][] {
    return this.closed.map(({ step, rows, outputs }) => [step, rows, ...outputs])
  }

  #newShards(shards: number): Shard[] {
    const { ranks, staleness, cutEverySteps, journalMaxSteps } = this.options
    return Array.from(
      { length: shards },
      (_, shard) =>
        new Shard({
          shard,
          shards,
          ranks,
          generation: this.generation,
          bells: quiet,
          ...(staleness === undefined ? {} : { staleness }),
          ...(cutEverySteps === undefined ? {} : { cutEverySteps }),
          ...(journalMaxSteps === undefined ? {} : { journalMaxSteps }),
        }),
    )
  }
}

/** Tests look by themselves. */
const quiet = localBells(() => undefined)

function initialValues({ name, shape }: { name: string; shape: readonly number[] }): Float32Array {
  const length = shape.reduce((a, b) => a * b, 1)
  return Float32Array.from({ length }, (_, i) => Math.sin(name.length + i))
}
