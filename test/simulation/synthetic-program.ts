// A user's program without TensorFlow and without a thread: the same exchange with the parameter servers, but where a
// program of a job blocks its thread, this one awaits. What it pushes depends on everything that could be wrong: the
// weights that it pulled, the rows that it was given, its rank and the step. Where workers are apart the weights depend
// on timing; there it pushes a tally of its rows, in whole numbers, which the servers add up in whatever order: so the
// weights tell whether each row of each step was applied once on every server.
import { createHash } from 'node:crypto'
import {
  arrays,
  TroupeError,
  type DatasetReply,
  type JoinReply,
  type Program,
  type ProgramHost,
  type ProgramSpec,
} from 'troupe'
import {
  BatchRing,
  JobModel,
  JournalReader,
  optimizerSpec,
  RankExchange,
  type Bells,
  type JournalEntry,
  type ModelPart,
  type RingBatch,
} from 'troupe/training'

const ROWS = 37
const BATCH_SIZE = 5
const X_ELEMENTS = 3

const data = arrays({
  xs: Float32Array.from({ length: ROWS * X_ELEMENTS }, (_, i) => Math.sin(i)),
  /** Each row's own number. */
  ys: Float32Array.from({ length: ROWS }, (_, i) => i),
  xShape: [X_ELEMENTS],
})

/** Two optimizers that share a variable; one clips by a norm that needs all shards; statistics as of a BatchNorm. */
export const PARTS: readonly ModelPart[] = [
  {
    variables: [
      { name: 'kernel', shape: [30, 20], trainable: true },
      { name: 'bias', shape: [7], trainable: true },
      { name: 'mean', shape: [5], trainable: false },
    ],
    optimizer: optimizerSpec('adam-0', 'adam', { learningRate: 0.01, globalClipNorm: 1 }),
    outputs: ['loss', 'metric'],
  },
  {
    variables: [
      { name: 'kernel', shape: [30, 20], trainable: true },
      { name: 'late', shape: [300], trainable: true },
    ],
    optimizer: optimizerSpec('momentum-0', 'momentum', { learningRate: 0.05 }),
    outputs: ['loss'],
  },
]

/** Their updates are sums: the order of pushes does not matter. The limit of the norm is never reached, but asked for. */
const TALLY_PARTS: readonly ModelPart[] = [
  {
    variables: [
      { name: 'kernel', shape: [30, 20], trainable: true },
      { name: 'bias', shape: [7], trainable: true },
    ],
    optimizer: optimizerSpec('sgd-0', 'sgd', { learningRate: 1, globalClipNorm: 1e30 }),
    outputs: ['loss', 'metric'],
  },
  {
    variables: [
      { name: 'kernel', shape: [30, 20], trainable: true },
      { name: 'late', shape: [300], trainable: true },
    ],
    optimizer: optimizerSpec('sgd-1', 'sgd', 1),
    outputs: ['loss'],
  },
]

/** Steps that each of so many workers makes in an epoch. */
export const stepsPerEpoch = (workers: number): number => Math.ceil(ROWS / (BATCH_SIZE * workers))

/** Names the validation that follows so many steps. */
export const validationKey = (steps: number): string => `${steps}/validation/0`

/** How a program trains: every third step another part, a validation after each epoch. */
export interface Syllabus {
  readonly epochs: number
}

const partOf = (step: number): number => (step % 3 === 2 ? 1 : 0)

/** What is left to chance, and what stands for threads. */
export interface ProgramWorld {
  readonly bells: Bells
  /** Resolves after a while, seeded. */
  pause(): Promise<void>
  /** How long a killed program goes on to write before its thread is really gone: it resolves then. */
  lingering(): Promise<void>
  /** Does the thread die here, between two pushes? */
  diesHere(): boolean
}

/** Never resolves: what a thread that is gone waits for. */
const NEVER = new Promise<never>(() => undefined)

class ThreadDied extends Error {}

export class SyntheticProgram implements Program {
  readonly #spec: ProgramSpec
  readonly #host: ProgramHost
  readonly #world: ProgramWorld
  #exchange: RankExchange | undefined
  #ring: BatchRing | undefined
  #reply: DatasetReply | undefined
  #ended = false
  #gone = false

  constructor(spec: ProgramSpec, host: ProgramHost, world: ProgramWorld) {
    this.#spec = spec
    this.#host = host
    this.#world = world
    void this.#live()
  }

  abort(): void {}

  kill(reason: string): void {
    this.#fail(
      new TroupeError('ERR_PROGRAM_KILLED', `the program of rank ${this.#spec.rank} was killed: ${reason}`),
    )
  }

  async #live(): Promise<void> {
    try {
      const result = await this.#run()
      if (this.#ended) return
      this.#ended = true
      this.#host.ended({ kind: 'returned', result })
      this.#leave()
    } catch (error) {
      if (error instanceof ThreadDied) {
        this.#fail(new TroupeError('ERR_THREAD_EXITED', 'the thread ended with code 9'))
      } else {
        this.#fail(new TroupeError('ERR_PROGRAM_FAILED', 'the program failed', { cause: error }))
      }
    }
  }

  #fail(error: TroupeError): void {
    if (this.#ended) return
    this.#ended = true
    this.#host.ended({ kind: 'failed', error })
    // A thread that is being terminated may write on for a moment.
    void this.#world.lingering().then(() => this.#leave())
  }

  #leave(): void {
    this.#gone = true
    this.#host.exited?.()
  }

  /** Every wait of the program passes here: a thread that is gone comes back from none. */
  async #yield(): Promise<void> {
    await this.#world.pause()
    if (this.#gone) await NEVER
  }

  async #ask<T>(request: Parameters<ProgramHost['request']>[0]): Promise<T> {
    if (this.#ended) await NEVER
    const leave = this.#exchange?.park()
    const reply = await this.#host.request(request)
    if (this.#gone) await NEVER
    if (leave !== undefined) {
      leave()
      await this.#wait(this.#waited)
    }
    return reply as T
  }

  #tell(notice: Parameters<ProgramHost['notice']>[0]): void {
    if (!this.#ended) this.#host.notice(notice)
  }

  async #run(): Promise<unknown> {
    const { args, rank, from } = this.#spec
    const { epochs } = args as unknown as Syllabus
    await this.#yield()
    this.#tell({ tell: 'ready', fingerprint: FINGERPRINT, why: 'simulated' })
    this.#reply = await this.#openDataset()
    const { plan } = this.#reply
    this.#tell({ tell: 'opened', index: 0, rows: plan.rows })
    const length = stepsPerEpoch(plan.ranks)
    if (rank === 0) this.#tell({ tell: 'extent', epochs, stepsPerEpoch: length })
    const seen: number[] = []
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (let ordinal = 0; ordinal < length; ordinal++) {
        const step = epoch * length + ordinal
        await this.#join(step)
        if (step === from) await this.#goLive(step)
        const entry = step < from ? await this.#replay(step) : await this.#train(step, { epoch, ordinal })
        seen.push(entry.rows, ...entry.outputs)
      }
      const steps = (epoch + 1) * length
      if (steps === from) await this.#goLive(steps)
      const found = await this.#validate(steps)
      // What it finds depends on timing where workers are apart; that there is something does not.
      seen.push(this.#apart ? Number(Number.isFinite(found)) : found)
      if (rank === 0 && steps >= from) {
        this.#tell({ tell: 'epoch', epoch, step: steps, logs: { loss: seen.at(-1) ?? 0 } })
      }
    }
    return { seen: createHash('sha256').update(Float64Array.from(seen)).digest('hex'), numbers: seen.length }
  }

  async #openDataset(): Promise<DatasetReply> {
    return this.#ask<DatasetReply>({
      ask: 'dataset',
      index: 0,
      descriptor: data,
      batchSize: BATCH_SIZE,
      shuffle: true,
    })
  }

  /** Names the parts that steps up to this one train. */
  async #join(step: number): Promise<void> {
    const part = partOf(step)
    for (let number = this.#parts; number <= part; number++) {
      const { rank, knownParts, staleness } = this.#spec
      const spec = this.#lessons[number]!
      const placed = new JobModel(1, this.#lessons.slice(0, number)).add(spec)
      const initial =
        rank === 0 && number >= knownParts
          ? placed.introduces.map(position => initialValues(spec.variables[position]!, this.#apart))
          : null
      const { region, servers } = await this.#ask<JoinReply>({ ask: 'join', part: number, spec, initial })
      this.#exchange ??= new RankExchange({
        region,
        shards: servers.length,
        staleness,
        bells: this.#world.bells,
      })
      this.#exchange.addPart(spec, servers)
      this.#parts = number + 1
    }
  }

  #parts = 0
  /** The step that was waited for last. */
  #waited = 0

  get #apart(): boolean {
    return this.#spec.staleness > 0
  }

  get #lessons(): readonly ModelPart[] {
    return this.#apart ? TALLY_PARTS : PARTS
  }

  async #goLive(step: number): Promise<void> {
    await this.#wait(step)
    this.#tell({ tell: 'live', step, outputs: this.#lessons[partOf(step)]!.outputs, replayMs: 0 })
  }

  async #replay(step: number): Promise<JournalEntry> {
    const { journal } = this.#spec
    if (step < journal.steps) return new JournalReader(journal).entry(step)!
    await this.#wait(step + 1)
    return this.#exchange!.answer(step + 1)
  }

  async #train(step: number, address: { epoch: number; ordinal: number }): Promise<JournalEntry> {
    const exchange = this.#exchange!
    const part = partOf(step)
    const batch = await this.#take(address)
    await this.#wait(step)
    exchange.pull(part, step)
    const { rank } = this.#spec
    let rowSum = 0
    for (let i = 0; i < batch.rows * X_ELEMENTS; i++) rowSum += batch.xs[i]! * (1 + (i % 5))
    for (const [v, slices] of exchange.slices(part).entries()) {
      const { trainable } = this.#lessons[part]!.variables[v]!
      for (const { offset, length, target, pulled } of slices) {
        for (let i = 0; i < length; i++) {
          const w = pulled[i]!
          const push = Math.fround(w * 0.3 + rowSum * ((offset + i) % 3) + (rank + 1) * 0.01 * v)
          if (this.#apart) target[i] = tally(batch, offset + i)
          else target[i] = trainable ? push : Math.fround(w * 0.9 + 0.1 * push)
        }
      }
    }
    const outputs = this.#lessons[part]!.outputs.map((_, k) => Math.fround(rowSum + k + step / 100))
    await this.#yield()
    const afterCommit = (): void => {
      if (this.#gone || this.#world.diesHere()) throw new ThreadDied()
    }
    exchange.push({ step, part, rows: batch.rows }, outputs, { afterCommit })
    this.#ring!.release()
    await this.#wait(step + 1)
    const { journal } = this.#spec
    // What an earlier life saw of it stays what is seen.
    return new JournalReader(journal).entry(step) ?? exchange.answer(step + 1)
  }

  async #take({ epoch, ordinal }: { epoch: number; ordinal: number }): Promise<RingBatch> {
    for (;;) {
      if (this.#ring === undefined) {
        this.#ring = new BatchRing((this.#reply ?? (await this.#openDataset())).ring, this.#world.bells)
        this.#reply = undefined
        this.#ring.jump({ epoch, ordinal })
      }
      const batch = this.#ring.poll()
      // The feeder died: the next one finds the batch by the plan.
      if (batch === 'closed') this.#ring = undefined
      else if (batch !== undefined) {
        if (batch.epoch === epoch && batch.ordinal === ordinal) return batch
        throw new Error(`got batch ${batch.ordinal} of epoch ${batch.epoch}, wanted ${ordinal} of ${epoch}`)
      }
      await this.#yield()
    }
  }

  async #validate(steps: number): Promise<number> {
    const { rank } = this.#spec
    const key = validationKey(steps)
    const kept = await this.#ask<{ found: boolean; value?: number }>({ ask: 'once-find', key })
    if (kept.found) return kept.value!
    if (rank !== 0) throw new Error('a worker that is not the chief waits for the value')
    await this.#yield()
    this.#exchange!.pull(0, steps)
    let sum = 0
    for (const slices of this.#exchange!.slices(0)) {
      for (const { offset, pulled } of slices)
        for (let i = 0; i < pulled.length; i++) sum += pulled[i]! * (1 + ((offset + i) % 7))
    }
    await this.#yield()
    await this.#ask({ ask: 'once-keep', key, value: sum })
    return sum
  }

  async #wait(step: number): Promise<void> {
    const exchange = this.#exchange!
    this.#waited = step
    for (let obstacle = exchange.obstacle(step); obstacle !== undefined; obstacle = exchange.obstacle(step)) {
      const { area, isGone } = obstacle
      await new Promise<void>(resolve => {
        const listener = area.pulse.listen(() => {
          if (!isGone() && !area.retired && !this.#gone) return
          listener.stop()
          resolve()
        })
      })
      if (this.#gone) await NEVER
      if (!isGone() && area.retired) {
        throw new TroupeError(
          'ERR_PROGRAM_STOPPED',
          `parameter server ${area.shard} stopped before step ${step} could begin`,
        )
      }
    }
    await this.#yield()
  }
}

function initialValues(
  { name, shape }: { readonly name: string; readonly shape: readonly number[] },
  zeros: boolean,
): Float32Array {
  const length = shape.reduce((a, b) => a * b, 1)
  return Float32Array.from({ length }, (_, i) => (zeros ? 0 : Math.sin(name.length + i) / 2))
}

/** A whole number that each row of the batch makes larger, each by another pattern of elements. */
function tally({ ys, rows }: RingBatch, element: number): number {
  let sum = 0
  for (let row = 0; row < rows; row++) sum += ((ys[row]! + 1) * (element + 3)) % 11
  return sum
}

const FINGERPRINT = {
  backend: 'js',
  build: 'simulated',
  threads: '1',
  isa: 'simulated',
  node: 'simulated',
  tfjs: 'none',
} as const
