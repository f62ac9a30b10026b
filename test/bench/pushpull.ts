// Gradients to the parameter servers and new weights back: 16 MB of float32 in 8 variables, two servers in threads,
// Adam, one and two workers in threads. A step holds every worker's push, the reduction, the update and one copy out
// of the new weights by every worker.

import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { Worker } from 'node:worker_threads'
import { Actor, actor, ActorContext, Args, handles, inject, Troupe, type ActorRef } from 'troupe'
import { ParameterServer, type JobSpec, type JobSupervisor } from 'troupe/actors'
import { ExchangeRegion, introducedValues, JobModel, optimizerSpec, type ModelPart } from 'troupe/training'
import type { MakeSteps, RankData } from './pushpull-rank.js'
import { defineBench } from './harness.js'

const SERVERS = 2
const GENERATION = 1
const STEPS = 60

const PART: ModelPart = {
  variables: Array.from({ length: 8 }, (_, i) => ({ name: `v${i}`, shape: [1024, 512], trainable: true })),
  optimizer: optimizerSpec('adam-0', 'adam', 1e-3),
  outputs: ['loss'],
}
const MODEL_BYTES = 8 * 1024 * 512 * 4

/** Takes cuts and forgets them. */
@actor('bench-checkpointer', { module: import.meta.url })
export class NoCheckpointer extends Actor {
  @handles() piece(): null {
    return null
  }
}

/** What a server needs above it, without a job. */
@actor('bench-supervisor', { module: import.meta.url })
export class BenchSupervisor extends Actor {
  readonly #workers: number

  constructor(@inject(ActorContext) _ctx: ActorContext, @inject(Args) workers: number) {
    super()
    this.#workers = workers
  }

  override async onStart(): Promise<void> {
    await this.ctx.spawn(NoCheckpointer, { name: 'checkpointer' })
    const supervisor = this.ctx.selfAs(BenchSupervisor) as ActorRef as ActorRef<JobSupervisor>
    for (let shard = 0; shard < SERVERS; shard++) {
      const args = { job: jobOf(this.#workers), supervisor, shard }
      await this.ctx.spawn(ParameterServer, { name: `ps-${shard}`, args, isolation: 'thread' })
    }
  }

  @handles() stepClosed(): void {}
}

function jobOf(workers: number): JobSpec {
  return {
    name: 'bench',
    run: 'bench',
    module: 'bench:none',
    moduleSha256: null,
    args: {},
    workers,
    parameterServers: SERVERS,
    seed: 1,
    kills: [],
    checkpoints: {
      place: tmpdir(),
      temporary: true,
      everySteps: 1_000_000_000,
      intervalMs: 1_000_000_000,
      keepLast: 1,
      resume: false,
    },
  }
}

/** Servers and the threads that push to them. */
class Exchange {
  readonly #threads: readonly Worker[]
  readonly #stop: () => Promise<void>
  #step = 0

  private constructor(threads: readonly Worker[], stop: () => Promise<void>) {
    this.#threads = threads
    this.#stop = stop
  }

  static async open(troupe: Troupe, workers: number): Promise<Exchange> {
    const name = `job-${workers}`
    const supervisor = await troupe.spawn(BenchSupervisor, { name, args: workers })
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
        return new Worker(new URL('./pushpull-rank.js', import.meta.url), { workerData: data })
      }),
    )
    return new Exchange(threads, () => troupe.stop(supervisor))
  }

  /** Steps a second. */
  async run(): Promise<number> {
    const steps: MakeSteps = { from: this.#step, to: this.#step + STEPS }
    this.#step += STEPS
    const began = performance.now()
    const replies = this.#threads.map(async thread => (await once(thread, 'message')) as [number[]])
    for (const thread of this.#threads) thread.postMessage(steps)
    const seen = (await Promise.all(replies)).flatMap(([weights]) => weights)
    if (!seen.every(weight => weight !== 0 && weight !== 0.5))
      throw new Error(`weights stayed as they were: ${seen.join(', ')}`)
    return (STEPS / (performance.now() - began)) * 1000
  }

  async close(): Promise<void> {
    for (const thread of this.#threads) await thread.terminate()
    await this.#stop()
  }
}

export default defineBench('pushpull', async b => {
  const troupe = await Troupe.start({})
  b.after(() => troupe.close())
  for (const [workers, atLeast] of [
    [1, 100],
    [2, 85],
  ] as const) {
    const name = workers === 1 ? '1-worker' : '2-workers'
    const exchange = await Exchange.open(troupe, workers)
    b.after(() => exchange.close())
    let rate = 0
    b.arm({ case: name, unit: 'steps/s', better: 'higher', run: async () => (rate = await exchange.run()) })
    b.arm({
      case: `${name}-mb`,
      unit: 'MB/s',
      better: 'higher',
      run: () => (rate * workers * 2 * MODEL_BYTES) / 1e6,
    })
    b.bar({ case: name, atLeast })
  }
  // The floor: the same bytes in and out, copied in one thread.
  const from = new Float32Array(MODEL_BYTES / 4).fill(1)
  const to = new Float32Array(MODEL_BYTES / 4)
  b.arm({
    case: '1-worker-memcpy',
    unit: 'steps/s',
    better: 'higher',
    run: () => {
      const began = performance.now()
      for (let step = 0; step < STEPS; step++) {
        to.set(from)
        from.set(to)
      }
      return (STEPS / (performance.now() - began)) * 1000
    },
  })
})
