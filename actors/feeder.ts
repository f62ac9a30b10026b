import {
  Actor,
  actor,
  Args,
  handles,
  inject,
  openDataset,
  TroupeError,
  type DatasetReply,
  type DatasetRequest,
  type DatasetSource,
  type DeferredReply,
} from 'troupe'
import {
  BatchFeed,
  BatchRing,
  datasetSeed,
  DEFAULT_RING_SLOTS,
  elementCount,
  SamplePlan,
  type BellListener,
} from 'troupe/training'

export interface FeederArgs {
  readonly seed: number
  readonly workers: number
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
  /** By their place in the program. */
  readonly #sources = new Map<number, Promise<DatasetSource>>()
  readonly #customers = new Map<number, Customer>()

  constructor(@inject(Args) args: FeederArgs) {
    super()
    this.#args = args
  }

  override onStart(): void {
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
    this.ctx.pipeToSelf(
      this.#source(request),
      source => {
        try {
          reply.resolve(this.#serve(rank, incarnation, request, source))
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
    if (customer?.incarnation !== incarnation) return
    if (customer.feeds[index]!.pump() > 0) this.ctx.progress()
  }

  async #source({ index, descriptor }: DatasetRequest): Promise<DatasetSource> {
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
    const { seed, workers } = this.#args
    const { rowCount, xShape, yShape } = source
    const spec = { seed: datasetSeed(seed, index), rows: rowCount, ranks: workers, batchSize, shuffle }
    const plan = new SamplePlan(spec)
    const ring = BatchRing.create({
      slots: DEFAULT_RING_SLOTS,
      maxRows: plan.size(0, 0),
      xElements: elementCount(xShape),
      yElements: elementCount(yShape),
    })
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
