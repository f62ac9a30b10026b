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
  elementCount,
  ExchangeRegion,
  planLayout,
  SamplePlan,
  scatter,
  Shard,
  weightsSha256,
  type BellListener,
  type ClosedStep,
  type PhaseTimes,
  type RefusedPush,
} from '../../src/training/index.js'

const GENERATION = 1

export interface DriverOptions {
  readonly module: string
  readonly workers: number
  readonly shards: number
  readonly seed?: number
  readonly backend?: BackendName
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
  readonly results: unknown[]
  readonly notices: { rank: number; notice: ProgramNotice }[]
  /** Kills that happened. */
  readonly fired: readonly string[]
  readonly refused: RefusedPush[]
  readonly slots: Record<string, number[]>
  readonly phases: PhaseTimes[]
}

/** Of programs that train nothing. */
const NOTHING = { hash: '', history: [], fired: [], refused: [], slots: {}, phases: [] }

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
  readonly #onces = new Map<string, unknown>()
  readonly #agreement = new DatasetAgreement()
  readonly #fired = new Set<string>()
  readonly #waiters: (() => void)[] = []
  #over = false
  #fail: (error: Error) => void = () => undefined

  constructor(options: DriverOptions) {
    this.#options = options
    this.#compute = options.compute ?? new ThreadCompute()
    const { shards, workers: ranks } = options
    this.#incarnation = new Array<number>(ranks).fill(0)
    this.#shards = Array.from(
      { length: shards },
      (_, shard) => new Shard({ shard, shards, ranks, generation: GENERATION }),
    )
  }

  async run(): Promise<DriverResult> {
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject
    })
    const ranks = Array.from({ length: this.#options.workers }, (_, rank) => this.#rank(rank))
    const results = await Promise.race([Promise.all(ranks), failed])
    if (!this.#shards[0]!.defined) return { ...NOTHING, results, notices: this.#notices }
    const { layout, model } = this.#shards[0]!
    const buffers = this.#shards.map(shard => shard.weights())
    const slots: Record<string, number[]> = {}
    for (const shard of this.#shards) {
      for (const { optimizer, slot, slice, values } of shard.slots()) {
        const whole = (slots[`${optimizer} ${slot} ${slice.variable}`] ??= [])
        for (const [i, value] of values.entries()) whole[slice.offset + i] = value
      }
    }
    return {
      hash: weightsSha256(model.variables, assemble(layout, model.variables, buffers)),
      history: this.#closed.map(({ rows, outputs }) => [rows, ...outputs]),
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
    const next = this.#shards.map(shard => shard.enlist(rank, incarnation))
    const from = Math.min(...next)
    const journal = this.#shards[0]!.journal(from)
    return new Promise(resolve => {
      const host: ProgramHost = {
        request: request => this.#answer(rank, incarnation, request),
        notice: notice => this.#notice(rank, notice),
        ended: resolve,
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
        kills: kills
          .map(parseKill)
          .filter(kill => !this.#fired.has(kill.text))
          // What the chief is at may end another worker.
          .filter(kill => kill.actor === `worker-${rank}` || (rank === 0 && kill.during !== undefined)),
      }
      this.#programs.set(rank, this.#compute.start(spec, host))
    })
  }

  #notice(rank: number, notice: ProgramNotice): void {
    this.#notices.push({ rank, notice })
    this.#options.onNotice?.(rank, notice)
  }

  async #answer(rank: number, incarnation: number, request: ProgramRequest): Promise<unknown> {
    switch (request.ask) {
      case 'fault':
        await this.#options.beforeKill?.(rank)
        this.#fired.add(request.kill.text)
        this.#programs.get(Number(request.kill.actor.slice('worker-'.length)))!.kill(request.kill.text)
        return null
      case 'join': {
        const { model, initial } = request
        const layout = planLayout(model.variables, this.#shards.length)
        if (initial !== null) {
          for (const [s, shard] of this.#shards.entries()) {
            const buffer = new Float32Array(layout.shardElements[s]!)
            scatter(layout, s, initial, buffer)
            if (shard.defined) continue
            shard.define(model, buffer)
            this.#listeners.push(shard.area.bell.listen(() => this.#scan(shard)))
          }
          this.#wake()
        }
        while (!this.#shards.every(shard => shard.defined)) await this.#woken()
        const { shardElements } = layout
        const shape = {
          generation: GENERATION,
          incarnation,
          rank,
          shardElements,
          outputs: model.outputs.length,
        }
        const region = ExchangeRegion.create(shape)
        const areas = this.#shards.map(shard => shard.attach(rank, model, region.buffer).buffer)
        return { region: region.buffer, areas }
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
      case 'once-find':
        if (rank !== 0) while (!this.#onces.has(request.key)) await this.#woken()
        return this.#onces.has(request.key)
          ? { found: true, value: this.#onces.get(request.key) }
          : { found: false }
      case 'once-keep':
        this.#onces.set(request.key, request.value)
        this.#wake()
        return null
    }
  }

  #scan(shard: Shard): void {
    try {
      const { closed, refused } = shard.scan()
      this.#refused.push(...refused)
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
