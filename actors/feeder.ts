import {
  Actor,
  actor,
  ActorContext,
  Args,
  DatasetAgreement,
  handles,
  inject,
  openDataset,
  TroupeError,
  type ActorRef,
  type DatasetReply,
  type DatasetRequest,
  type DatasetSource,
  type DeferredReply,
  type StartCause,
} from 'troupe'
import {
  BatchFeed,
  BatchRing,
  Bells,
  datasetSeed,
  DEFAULT_RING_SLOTS,
  elementCount,
  SamplePlan,
  type BatchAddress,
  type BellListener,
} from 'troupe/training'
import { FaultPoints } from './fault-points.js'
import { FEEDER, type JobSpec } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'

export interface FeederArgs {
  readonly job: Pick<JobSpec, 'kills' | 'seed' | 'workers'>
  readonly supervisor: ActorRef<JobSupervisor>
}

/** Where the batches of one incarnation of a worker go. */
interface Customer {
  readonly incarnation: number
  readonly feeds: BatchFeed[]
  readonly listeners: BellListener[]
}

/** Deals the rows of datasets to the workers by the sample plan, straight into memory that it shares with them. */
@actor('feeder', { module: import.meta.url })
export class Feeder extends Actor {
  readonly #args: FeederArgs
  readonly #bells: Bells
  readonly #faults: FaultPoints
  /** It took the place of one that died, and nobody has asked it for anything yet. */
  #recovering = false
  /** It stands where a kill is planned. */
  #frozen = false
  /** By their place in the program. */
  readonly #sources = new Map<number, Promise<DatasetSource>>()
  readonly #agreement = new DatasetAgreement()
  readonly #customers = new Map<number, Customer>()

  constructor(
    @inject(ActorContext) ctx: ActorContext,
    @inject(Args) args: FeederArgs,
    @inject(Bells) bells: Bells,
  ) {
    super()
    this.#args = args
    this.#bells = bells
    this.#faults = new FaultPoints(ctx, args.job, args.supervisor)
  }

  override onStart(cause: StartCause): void {
    if (cause.kind === 'restarted') {
      this.#recovering = true
      this.#args.supervisor.tell.restarted(FEEDER, cause.reason)
    }
    const customers = this.#customers
    this.ctx.signal.addEventListener(
      'abort',
      () => {
        for (const customer of customers.values()) dismiss(customer)
      },
      { once: true },
    )
  }

  /** Opens a dataset for a worker; rings of its earlier incarnations are closed, and theirs are refused. */
  @handles() open(rank: number, incarnation: number, request: DatasetRequest): DeferredReply<DatasetReply> {
    const reply = this.ctx.deferReply<DatasetReply>()
    try {
      this.#agreement.check(rank, request)
    } catch (error) {
      reply.reject(error as Error)
      return reply
    }
    this.ctx.pipeToSelf(
      this.#source(request),
      source => {
        try {
          reply.resolve(this.#serve(rank, incarnation, request, source))
          this.#recovered()
        } catch (error) {
          reply.reject(error as Error)
        }
      },
      error => reply.reject(error as Error),
    )
    return reply
  }

  /** The worker has freed slots, or wants other batches. */
  @handles() pump(rank: number, incarnation: number, index: number): void {
    const customer = this.#customers.get(rank)
    if (customer?.incarnation === incarnation) this.#pump(customer.feeds[index]!)
  }

  #pump(feed: BatchFeed): void {
    if (this.#frozen) return
    const meets = (address: BatchAddress): boolean => this.#meetsKill(feed, address)
    if (feed.pump(meets) > 0) this.ctx.progress()
  }

  /** By the batches of the first dataset, which the others are drawn beside. */
  #meetsKill(feed: BatchFeed, { epoch, ordinal }: BatchAddress): boolean {
    const step = epoch * feed.stepsPerEpoch + ordinal + 1
    const point = { actor: FEEDER, step }
    if (!this.#faults.has(point)) return false
    this.#frozen = true
    this.ctx.pipeToSelf(this.#faults.reach(point), () => {
      // It happened before: what was rung meanwhile is caught up with.
      this.#frozen = false
      for (const { feeds } of this.#customers.values()) for (const feed of feeds) this.#pump(feed)
    })
    return true
  }

  #recovered(): void {
    if (!this.#recovering) return
    this.#recovering = false
    this.#args.supervisor.tell.works(FEEDER)
  }

  async #source({ index, descriptor }: DatasetRequest): Promise<DatasetSource> {
    // How far the job is by now, nobody told this one: any step will do.
    if (this.#recovering) await this.#faults.reach({ step: Infinity, during: 'recovery', recovering: FEEDER })
    let source = this.#sources.get(index)
    if (source === undefined) {
      source = openDataset(descriptor)
      this.#sources.set(index, source)
      // What could not be read may be readable for who asks next.
      source.catch(() => this.#sources.delete(index))
    }
    return source
  }

  #serve(rank: number, incarnation: number, request: DatasetRequest, source: DatasetSource): DatasetReply {
    const { index, batchSize, shuffle } = request
    const { seed, workers } = this.#args.job
    const { rowCount, xShape, yShape } = source
    const spec = { seed: datasetSeed(seed, index), rows: rowCount, ranks: workers, batchSize, shuffle }
    const plan = new SamplePlan(spec)
    const ring = BatchRing.create(
      {
        slots: DEFAULT_RING_SLOTS,
        maxRows: plan.size(0, 0),
        xElements: elementCount(xShape),
        yElements: elementCount(yShape),
      },
      this.#bells,
    )
    const feed = new BatchFeed(ring, plan, rank, (rows, xs, ys) => source.gather(rows, xs, ys))
    const customer = this.#customer(rank, incarnation)
    const at = customer.feeds.push(feed) - 1
    const self = this.ctx.selfAs(Feeder)
    const { signal } = this.ctx
    const listener = ring.bell.listen(() => {
      if (!signal.aborted) self.tell.pump(rank, incarnation, at)
    })
    customer.listeners.push(listener)
    return { ring: ring.buffer, plan: spec, xShape, yShape }
  }

  #customer(rank: number, incarnation: number): Customer {
    const known = this.#customers.get(rank)
    if (known?.incarnation === incarnation) return known
    if (known !== undefined) {
      if (incarnation < known.incarnation) {
        throw new TroupeError(
          'ERR_STALE_INCARNATION',
          `incarnation ${incarnation} of rank ${rank} asks for a dataset after its successor ${known.incarnation}`,
        )
      }
      dismiss(known)
    }
    const customer = { incarnation, feeds: [], listeners: [] }
    this.#customers.set(rank, customer)
    return customer
  }
}

function dismiss({ feeds, listeners }: Customer): void {
  for (const listener of listeners) listener.stop()
  for (const { ring } of feeds) ring.close()
}
