// A job without actors: shards, feeds and program threads wired by hand, to try the protocol by itself.
import { parseKill } from '../../src/config/index.js'
import { DatasetAgreement, openDataset } from '../../src/data/index.js'
import type { BackendName } from '../../src/tensor/index.js'
import type { Program, ProgramEnd, ProgramHost } from '../../src/program/compute.js'
import type { ProgramNotice, ProgramRequest } from '../../src/program/protocol.js'
import { ThreadCompute } from '../../src/program/thread-compute.js'
import {
  assemble,
  BatchFeed,
  BatchRing,
  DEFAULT_JOURNAL_MAX_STEPS,
  elementCount,
  ExchangeRegion,
  introducedValues,
  JobModel,
  missedOnce,
  SamplePlan,
  Shard,
  WEIGHTS_KIND,
  weightsSha256,
  type BellListener,
  type ClosedStep,
  type PhaseTimes,
  type RefusedPush,
  type WorkerId,
} from '../../src/training/index.js'

const GENERATION = 1

export interface DriverOptions {
  readonly module: string
  readonly workers: number
  readonly shards: number
  readonly seed?: number
  readonly backend?: BackendName
  readonly staleness?: number
  readonly journalMaxSteps?: number
  readonly args?: Record<string, unknown>
  readonly kills?: readonly string[]
  readonly checkDeterminism?: boolean
  readonly onNotice?: (rank: number, notice: ProgramNotice) => void
  /** Awaited before a planned kill. */
  readonly beforeKill?: (rank: number) => Promise<void>
  readonly compute?: ThreadCompute
  readonly spareThreads?: number
}

export interface DriverResult {
  readonly hash: string
  /** [rows, loss, metrics…] of each step. */
  readonly history: number[][]
  readonly closed: readonly ClosedStep[]
  readonly results: unknown[]
  readonly notices: { rank: number; notice: ProgramNotice }[]
  /** Kills that happened. */
  readonly fired: readonly string[]
  readonly refused: RefusedPush[]
  readonly slots: Record<string, number[]>
  readonly phases: PhaseTimes[]
}

/** Of programs that train nothing. */
const NOTHING = { hash: '', history: [], closed: [], fired: [], refused: [], slots: {}, phases: [] }

export async function drive(options: DriverOptions): Promise<DriverResult> {
  const driver = new Driver(options)
  try {
    return await driver.run()
  } finally {
    driver.close()
  }
}

class Driver {
  readonly #options: DriverOptions
  readonly #compute: ThreadCompute
  readonly #shards: Shard[]
  readonly #listeners: BellListener[] = []
  readonly #programs = new Map<number, Program>()
  readonly #incarnation: number[]
  readonly #closed: ClosedStep[] = []
  readonly #refused: RefusedPush[] = []
  readonly #notices: { rank: number; notice: ProgramNotice }[] = []
  /** Of each rank, what its present incarnation has joined. */
  readonly #joins: { readonly model: JobModel; readonly region: ExchangeRegion }[] = []
  readonly #agreement = new DatasetAgreement()
  readonly #fired = new Set<string>()
  readonly #waiters: (() => void)[] = []
  #over = false
  #fail: (error: Error) => void = () => undefined

  constructor(options: DriverOptions) {
    this.#options = options
    const { shards, workers: ranks, staleness = 0, journalMaxSteps = DEFAULT_JOURNAL_MAX_STEPS } = options
    this.#compute = options.compute ?? new ThreadCompute()
    this.#incarnation = new Array<number>(ranks).fill(0)
    const shared = { shards, ranks, generation: GENERATION, staleness, journalMaxSteps }
    this.#shards = Array.from({ length: shards }, (_, shard) => new Shard({ shard, ...shared }))
    for (const shard of this.#shards) this.#listeners.push(shard.listen(() => this.#scan(shard)))
  }

  async run(): Promise<DriverResult> {
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject
    })
    const ranks = Array.from({ length: this.#options.workers }, (_, rank) => this.#rank(rank))
    const results = await Promise.race([Promise.all(ranks), failed])
    if (!this.#shards[0]!.defined) return { ...NOTHING, results, notices: this.#notices }
    const { variables } = this.#shards[0]!.model
    const tensors = this.#shards.flatMap(shard => shard.tensors())
    const slots: Record<string, number[]> = {}
    for (const kind of new Set(tensors.map(tensor => tensor.kind))) {
      if (kind === WEIGHTS_KIND) continue
      for (const [i, values] of assemble(variables, tensors, kind).entries()) {
        const { name } = variables[i]!
        if (tensors.some(tensor => tensor.kind === kind && tensor.variable === name)) {
          slots[`${kind} ${name}`] = [...values]
        }
      }
    }
    return {
      hash: weightsSha256(variables, assemble(variables, tensors, WEIGHTS_KIND)),
      history: this.#closed.map(({ rows, outputs }) => [rows, ...outputs]),
      closed: this.#closed,
      results,
      notices: this.#notices,
      fired: [...this.#fired],
      refused: this.#refused,
      slots,
      phases: this.#shards[0]!.phases(),
    }
  }

  close(): void {
    this.#over = true
    for (const listener of this.#listeners) listener.stop()
    for (const program of this.#programs.values()) program.kill('the driver closes')
  }

  /** Runs a rank's program until it returns, again if it is killed as planned. */
  async #rank(rank: number): Promise<unknown> {
    for (;;) {
      const end = await this.#start(rank)
      if (end.kind === 'returned') return end.result
      if (this.#over || end.error.code !== 'ERR_PROGRAM_KILLED') throw end.error
    }
  }

  async #start(rank: number): Promise<ProgramEnd> {
    const { module, workers, seed = 7, args = {}, kills = [], backend = 'wasm', spareThreads } = this.#options
    const incarnation = (this.#incarnation[rank]! += 1)
    const worker = { generation: GENERATION, rank, incarnation }
    const enlisted = this.#shards.map(shard => shard.enlist(worker))
    const from = Math.min(...enlisted.map(({ next }) => next))
    const journal = this.#shards[0]!.journal(rank, from)
    const region = ExchangeRegion.create({ ...worker, shards: this.#shards.length })
    this.#joins[rank] = { model: new JobModel(this.#shards.length), region }
    return new Promise(resolve => {
      const host: ProgramHost = {
        request: request => this.#answer(worker, request),
        notice: notice => this.#notice(worker, notice),
        ended: end => {
          if (end.kind === 'returned') this.#finish(worker)
          resolve(end)
        },
        exited: () => region.markExited(),
      }
      const spec = {
        job: 'test',
        module,
        args,
        rank,
        workers,
        seed,
        generation: GENERATION,
        incarnation,
        backend,
        checkDeterminism: this.#options.checkDeterminism ?? false,
        ...(spareThreads === undefined ? {} : { spareThreads }),
        from,
        journal,
        knownParts: Math.min(...enlisted.map(({ parts }) => parts)),
        staleness: this.#options.staleness ?? 0,
        kills: kills
          .map(parseKill)
          .filter(kill => !this.#fired.has(kill.text))
          // What the chief is at may end another worker.
          .filter(kill => kill.actor === `worker-${rank}` || (rank === 0 && kill.during !== undefined)),
      }
      this.#programs.set(rank, this.#compute.start(spec, host))
    })
  }

  #notice(worker: WorkerId, notice: ProgramNotice): void {
    const { rank } = worker
    this.#notices.push({ rank, notice })
    if (notice.tell === 'epoch') this.#shards[0]!.keepEpoch(worker, notice)
    this.#options.onNotice?.(rank, notice)
  }

  #finish(worker: WorkerId): void {
    for (const shard of this.#shards) {
      shard.finish(worker)
      this.#scan(shard)
    }
  }

  async #answer(worker: WorkerId, request: ProgramRequest): Promise<unknown> {
    const { rank } = worker
    const first = this.#shards[0]!
    switch (request.ask) {
      case 'fault':
        await this.#options.beforeKill?.(rank)
        this.#fired.add(request.kill.text)
        this.#programs.get(Number(request.kill.actor.slice('worker-'.length)))!.kill(request.kill.text)
        return null
      case 'join': {
        const { part, spec, initial } = request
        const { model, region } = this.#joins[rank]!
        const placed = model.agree(part, spec, rank)
        if (initial !== null) {
          for (const [s, shard] of this.#shards.entries()) {
            shard.define(worker, part, spec, introducedValues(placed, s, initial))
          }
          this.#wake()
        }
        while (!this.#shards.every(shard => shard.parts > part)) await this.#woken()
        const servers = this.#shards.map(shard => shard.attach(worker, part, spec, region.buffer))
        return { region: region.buffer, servers }
      }
      case 'dataset': {
        this.#agreement.check(rank, request)
        const source = await openDataset(request.descriptor)
        const { batchSize, shuffle } = request
        const spec = { seed: 1, rows: source.rowCount, ranks: this.#options.workers, batchSize, shuffle }
        const { xShape, yShape } = source
        const ring = BatchRing.create({
          slots: 3,
          maxRows: batchSize,
          xElements: elementCount(xShape),
          yElements: elementCount(yShape),
        })
        const feed = new BatchFeed(ring, new SamplePlan(spec), rank, (rows, xs, ys) =>
          source.gather(rows, xs, ys),
        )
        this.#listeners.push(ring.bell.listen(() => feed.pump()))
        return { ring: ring.buffer, plan: spec, xShape, yShape }
      }
      case 'once-find': {
        if (rank !== 0) {
          while (first.onceFind(request.key) === undefined) {
            const missed = missedOnce(request.key, first.pushed(0))
            if (missed !== undefined) throw missed
            await this.#woken()
          }
        }
        const kept = first.onceFind(request.key)
        return kept === undefined ? { found: false } : { found: true, value: kept.value }
      }
      case 'checkpoint':
        // Nobody writes any.
        return null
      case 'once-keep':
        first.onceKeep(worker, request.key, request.value)
        this.#wake()
        return null
    }
  }

  #scan(shard: Shard): void {
    try {
      const { closed, refused, norms } = shard.scan()
      this.#refused.push(...refused)
      this.#wake()
      for (const sums of norms) {
        for (const other of this.#shards) {
          if (other === shard) continue
          other.takeNorms(sums)
          setImmediate(() => this.#scan(other))
        }
      }
      if (shard.options.shard === 0) this.#closed.push(...closed)
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  async #woken(): Promise<void> {
    return new Promise(resolve => this.#waiters.push(resolve))
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake()
  }
}
