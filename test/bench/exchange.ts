// The exchange of a job without programs: real servers in threads, and threads that push to them.

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Actor, actor, ActorContext, Args, handles, inject, type ActorRef, type Troupe } from 'troupe'
import { ParameterServer, type JobSpec, type JobSupervisor } from 'troupe/actors'
import { ExchangeRegion, introducedValues, JobModel, optimizerSpec, type ModelPart } from 'troupe/training'
import { Checkpointer, type WrittenCheckpoint } from '../../actors/checkpointer.js'
import type { MakeSteps, RankData, StepsMade } from './exchange-rank.js'

const SERVERS = 2
const GENERATION = 1

const PART: ModelPart = {
  variables: Array.from({ length: 8 }, (_, i) => ({ name: `v${i}`, shape: [1024, 512], trainable: true })),
  optimizer: optimizerSpec('adam-0', 'adam', 1e-3),
  outputs: ['loss'],
}
export const MODEL_BYTES = 8 * 1024 * 512 * 4

/** Takes cuts and forgets them. */
@actor('bench-checkpointer', { module: import.meta.url })
export class NoCheckpointer extends Actor {
  @handles() piece(): null {
    return null
  }
}

interface ExchangeOptions {
  readonly workers: number
  readonly checkpointMs: number | null
  readonly place: string
}

/** What a server needs above it, without a job. */
@actor('bench-supervisor', { module: import.meta.url })
export class BenchSupervisor extends Actor {
  readonly #options: ExchangeOptions
  /** Versions of which there is a checkpoint, and why others have none. */
  readonly #checkpoints: number[] = []
  readonly #failures: unknown[] = []

  constructor(@inject(ActorContext) _ctx: ActorContext, @inject(Args) options: ExchangeOptions) {
    super()
    this.#options = options
  }

  override async onStart(): Promise<void> {
    const { checkpointMs } = this.#options
    const job = jobOf(this.#options)
    const supervisor = this.ctx.selfAs(BenchSupervisor) as ActorRef as ActorRef<JobSupervisor>
    if (checkpointMs === null) await this.ctx.spawn(NoCheckpointer, { name: 'checkpointer' })
    else {
      const args = { job, supervisor }
      await this.ctx.spawn(Checkpointer, { name: 'checkpointer', args, isolation: 'thread' })
    }
    for (let shard = 0; shard < SERVERS; shard++) {
      const args = { job, supervisor, shard }
      await this.ctx.spawn(ParameterServer, { name: `ps-${shard}`, args, isolation: 'thread' })
    }
  }

  @handles() stepClosed(): void {}

  @handles() checkpointed({ step }: WrittenCheckpoint): void {
    this.#checkpoints.push(step)
  }

  @handles() checkpointFailed(_step: number, _steps: readonly number[], error: unknown): void {
    this.#failures.push(error)
  }

  /** Versions kept so far. */
  @handles() checkpoints(): number[] {
    if (this.#failures.length > 0) throw this.#failures[0]
    return this.#checkpoints
  }
}

function jobOf({ workers, place, checkpointMs }: ExchangeOptions): JobSpec {
  return {
    name: 'bench',
    run: 'bench',
    module: 'bench:none',
    moduleSha256: null,
    args: {},
    workers,
    parameterServers: SERVERS,
    staleness: 0,
    seed: 1,
    kills: [],
    checkpoints: {
      place,
      temporary: true,
      everySteps: checkpointMs === null ? 1_000_000_000 : null,
      intervalMs: checkpointMs ?? 1_000_000_000,
      keepLast: 1,
      resume: false,
    },
  }
}

/** Servers and the threads that push to them. */
export class Exchange {
  readonly #threads: readonly Worker[]
  readonly #supervisor: ActorRef<BenchSupervisor>
  readonly #stop: () => Promise<void>
  #step = 0

  private constructor(
    threads: readonly Worker[],
    supervisor: ActorRef<BenchSupervisor>,
    stop: () => Promise<void>,
  ) {
    this.#threads = threads
    this.#supervisor = supervisor
    this.#stop = stop
  }

  /** @param checkpointMs one is written every so often; null: none */
  static async open(
    troupe: Troupe,
    name: string,
    workers: number,
    checkpointMs: number | null = null,
  ): Promise<Exchange> {
    const place = await mkdtemp(join(tmpdir(), 'troupe-bench-'))
    const options: ExchangeOptions = { workers, checkpointMs, place }
    const supervisor = await troupe.spawn(BenchSupervisor, { name, args: options })
    const servers = Array.from({ length: SERVERS }, (_, shard) =>
      troupe.lookup(ParameterServer, `/${name}/ps-${shard}`),
    )
    await Promise.all(servers.map(server => server.ask.restore(GENERATION, null, false)))
    const ids = Array.from({ length: workers }, (_, rank) => ({
      generation: GENERATION,
      rank,
      incarnation: 1,
    }))
    for (const id of ids) await Promise.all(servers.map(server => server.ask.enlist(id)))
    const placed = new JobModel(SERVERS).add(PART)
    const initial = PART.variables.map(() => new Float32Array(1024 * 512).fill(0.5))
    await Promise.all(
      servers.map((server, shard) =>
        server.ask.define(ids[0]!, 0, PART, introducedValues(placed, shard, initial)),
      ),
    )
    const threads = await Promise.all(
      ids.map(async id => {
        const region = ExchangeRegion.create({ ...id, shards: SERVERS }).buffer
        const attachments = await Promise.all(servers.map(server => server.ask.attach(id, 0, PART, region)))
        const data: RankData = { spec: PART, region, servers: attachments }
        return new Worker(new URL('./exchange-rank.js', import.meta.url), { workerData: data })
      }),
    )
    return new Exchange(threads, supervisor, async () => {
      await troupe.stop(supervisor)
      await rm(place, { recursive: true, force: true })
    })
  }

  /** Makes steps; milliseconds of each, as the first worker saw them. */
  async run(count: number): Promise<StepsMade> {
    const steps: MakeSteps = { from: this.#step, to: this.#step + count }
    this.#step += count
    const replies = this.#threads.map(async thread => (await once(thread, 'message')) as [StepsMade])
    for (const thread of this.#threads) thread.postMessage(steps)
    const [first] = (await Promise.all(replies)).flat()
    if (!first!.seen.every(weight => weight !== 0 && weight !== 0.5)) {
      throw new Error(`weights stayed as they were: ${first!.seen.join(', ')}`)
    }
    return first!
  }

  /** Versions of which there is a checkpoint. */
  async checkpoints(): Promise<readonly number[]> {
    return this.#supervisor.ask.checkpoints()
  }

  async close(): Promise<void> {
    for (const thread of this.#threads) await thread.terminate()
    await this.#stop()
  }
}
