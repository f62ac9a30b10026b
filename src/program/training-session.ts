import type * as Tfjs from '@tensorflow/tfjs'
import { killAt, type FaultPhase, type FaultPoint, type KillSpec } from '../config/index.js'
import { hashSeed, type Clock, type MathRandomSeed } from '../determinism/index.js'
import { TroupeError } from '../errors.js'
import {
  JournalReader,
  MAX_OUTPUTS,
  type JournalEntry,
  type ModelPart,
  type OptimizerSpec,
  type StepPhase,
  type VariableSpec,
} from '../training/index.js'
import { DeterminismCheck } from './determinism-check.js'
import type { Logs } from './events.js'
import { ExchangeClient } from './exchange-client.js'
import type { HostLink } from './host-link.js'
import type { ProgramSpec } from './protocol.js'

/** What a training loop trains. */
export interface Trainee {
  readonly optimizer: OptimizerSpec
  readonly trainable: readonly Tfjs.Variable[]
  /** Variables that the step itself writes, such as the statistics of a BatchNorm. */
  readonly state: readonly Tfjs.Variable[]
  /** Names of what {@link TrainingSession.step}'s `compute` returns. */
  readonly outputs: readonly string[]
}

/** A batch of `ctx.dataset`, as a step knows it. */
export interface DrawnBatch {
  readonly rows: number
  /** How many batches its dataset has given since the last step. */
  readonly draws: number
}

/** A part of the model that the program has trained, or is about to. */
interface JoinedPart {
  readonly number: number
  readonly trainee: Trainee
}

/** Everything a session stands on. */
export interface SessionParts {
  readonly tf: typeof Tfjs
  readonly spec: ProgramSpec
  readonly link: HostLink
  readonly clock: Clock
  readonly random: MathRandomSeed
}

/**
 * The training of one program: counts its steps, takes it through the steps that were made before (replay), and
 * exchanges the others with the parameter servers.
 *
 * `Math.random` is seeded anew, by (seed, rank, step), before and after each step: what a replayed program draws
 * between steps does not depend on whether the steps were computed.
 */
export class TrainingSession {
  readonly #tf: typeof Tfjs
  readonly #spec: ProgramSpec
  readonly #link: HostLink
  readonly #clock: Clock
  readonly #random: MathRandomSeed
  /** Planned kills ahead of this program. */
  readonly #kills: KillSpec[]
  /** Where steps are to be computed twice. */
  readonly #check: DeterminismCheck | undefined
  #step = 0
  readonly #journal: JournalReader
  /** In the order in which the program came to them. */
  readonly #parts: JoinedPart[] = []
  /** Names of the variables in them. */
  readonly #variables = new Set<string>()
  #client: ExchangeClient | undefined
  /** Whose step is being made. */
  #part: JoinedPart | undefined
  /** The batch drawn for the coming step, if it came from `ctx.dataset`. */
  #drawn: DrawnBatch | undefined
  /** Gradients may be staged: a step is being computed. */
  #computing = false
  /** Whether the code that runs is done once in the job, on the chief alone. */
  #withinTask: () => boolean = () => false
  /** When the first step was replayed. */
  #replayBegan: number | undefined
  /** Milliseconds, until there is a region to count them in. */
  #waited = 0

  constructor({ tf, spec, link, clock, random }: SessionParts) {
    this.#tf = tf
    this.#spec = spec
    this.#kills = [...spec.kills]
    this.#link = link
    this.#clock = clock
    this.#random = random
    this.#check = spec.checkDeterminism === true ? new DeterminismCheck(tf) : undefined
    this.#journal = new JournalReader(spec.journal)
    link.waitWithin(wait => (this.#client === undefined ? wait() : this.#client.parked(wait)))
    this.#seed('start', -1)
    this.#warnOfForgotten()
  }

  /** Steps that the program has made, replayed ones included. */
  get steps(): number {
    return this.#step
  }

  get rank(): number {
    return this.#spec.rank
  }

  get replaying(): boolean {
    return this.#step < this.#spec.from
  }

  /** Whether the journal has forgotten this step, beyond its bound: it is replayed without what came of it. */
  forgot(step: number): boolean {
    return step < this.#spec.journal.first
  }

  /** The logs of the epoch that begins now, if it is over and the journal has forgotten steps of it. */
  keptEpoch(epoch: number): Logs | undefined {
    if (!this.forgot(this.#step)) return undefined
    const next = this.#spec.journal.epochs.find(({ step }) => step > this.#step)
    return next?.epoch === epoch ? next.logs : undefined
  }

  /** Whether each rank makes its steps by itself, and has a journal of its own. */
  get apart(): boolean {
    return this.#spec.staleness > 0
  }

  get computing(): boolean {
    return this.#computing
  }

  now(): number {
    return this.#clock.monotonic()
  }

  /** From now on steps are refused where this says that the chief is alone: nobody would make them with it. */
  guardTasks(within: () => boolean): void {
    this.#withinTask = within
  }

  /** Seeds `Math.random` for what follows this place of the program. */
  reseed(place: string): void {
    const { seed, rank } = this.#spec
    this.#random.reseed(hashSeed(seed, `${place} ${rank}`))
  }

  /** A batch of the rank's plan was drawn, after a wait for it. */
  drew(batch: DrawnBatch, waitedMs: number): void {
    this.#refuseWithin('draws a batch that is dealt to this worker')
    this.#drawn = batch
    if (this.#client === undefined) this.#waited += waitedMs
    else this.#spend('data', waitedMs)
  }

  /**
   * Makes the program's next step and returns what all ranks together got.
   *
   * @param rows rows that the step is computed on, unless a batch of the plan says otherwise
   * @param compute forward and backward; stages the gradients and returns this rank's outputs
   */
  step(trainee: Trainee, rows: number, compute: () => ArrayLike<number>): JournalEntry {
    const step = this.#step
    this.#refuseWithin('makes a training step')
    this.#checkDraws()
    this.#seed('in', step)
    const part = this.#join(trainee)
    this.#part = part
    const entry = this.replaying ? this.#replay(part) : this.#train(part, this.#drawn?.rows ?? rows, compute)
    this.#drawn = undefined
    this.#step += 1
    if (step + 1 === this.#spec.from) this.#goLive(part)
    this.#seed('after', step)
    return entry
  }

  /** Takes the gradients of the step that is being computed, by the names of their variables. */
  stage(gradients: ReadonlyMap<string, Tfjs.Tensor | undefined>): void {
    this.#check?.stage(gradients)
    for (const [index, { name }] of this.#part!.trainee.trainable.entries()) {
      this.#known.stage(index, gradients.get(name))
    }
  }

  #replay({ number, trainee }: JoinedPart): JournalEntry {
    const step = this.#step
    this.#replayBegan ??= this.now()
    const { steps, first } = this.#spec.journal
    let entry: JournalEntry
    if (step >= steps) {
      // Pushed by the worker before this one, but other ranks were still at it.
      this.#known.wait(step + 1)
      entry = this.#known.answer(step + 1)
    } else {
      // What the journal has forgotten had values that nobody can look up any more.
      const forgotten = { part: number, rows: 0, outputs: new Float32Array(trainee.outputs.length).fill(NaN) }
      entry = step < first ? forgotten : this.#journal.entry(step)!
    }
    if (entry.part === number && entry.outputs.length === trainee.outputs.length) return entry
    const before = this.#parts[entry.part]?.trainee
    throw new TroupeError(
      'ERR_REPLAY_DIVERGED',
      `step ${step + 1} trains ${traineeText(trainee)} and returns ${trainee.outputs.length} values ` +
        `(${trainee.outputs.join(', ')}); in the journal it ` +
        (before === undefined || entry.part === number
          ? `returns ${entry.outputs.length}`
          : `trains ${traineeText(before)}`),
    )
  }

  #train(part: JoinedPart, rows: number, compute: () => ArrayLike<number>): JournalEntry {
    const step = this.#step
    const client = this.#known
    const { number, trainee } = part
    this.#killPoint(step, undefined)
    this.#computing = true
    const began = this.now()
    let outputs: ArrayLike<number>
    try {
      outputs =
        this.#check === undefined
          ? compute()
          : this.#check.twice(step + 1, trainee.state, () => this.#seed('in', step), compute)
    } finally {
      this.#computing = false
    }
    const computed = this.now()
    this.#spend('compute', computed - began)
    for (const [i, variable] of trainee.state.entries()) client.stage(trainee.trainable.length + i, variable)
    client.push({ step, rows, part: number }, outputs, shard => this.#killPoint(step, shard))
    const pushed = this.now()
    this.#spend('push', pushed - computed)
    const assigningMs = client.receive(number, step + 1, () => this.now())
    this.#spend('barrier', this.now() - pushed - assigningMs)
    this.#spend('pull', assigningMs)
    // What was seen of it before its push reached every server stays what user code sees.
    return this.#journal.entry(step) ?? client.answer(step + 1)
  }

  #join(trainee: Trainee): JoinedPart {
    const known = this.#parts.find(part => sameTrainee(part.trainee, trainee))
    if (known !== undefined) return known
    const part = { number: this.#parts.length, trainee }
    const variables = [...trainee.trainable, ...trainee.state]
    if (trainee.outputs.length > MAX_OUTPUTS) {
      throw new TroupeError(
        'ERR_TRAINING_LOOP',
        `a step returns ${trainee.outputs.length} values, loss and metrics; the limit is ${MAX_OUTPUTS}`,
      )
    }
    const spec: ModelPart = {
      variables: variables.map((variable, i) => variableSpec(variable, i < trainee.trainable.length)),
      optimizer: trainee.optimizer,
      outputs: trainee.outputs,
    }
    const { rank, from, knownParts, staleness } = this.#spec
    const added = variables.filter(({ name }) => !this.#variables.has(name))
    const sends = rank === 0 && part.number >= knownParts
    const initial = sends ? added.map(v => Float32Array.from(v.dataSync())) : null
    const reply = this.#link.ask({ ask: 'join', part: part.number, spec, initial })
    const first = this.#client === undefined
    this.#client ??= new ExchangeClient(this.#tf, reply, staleness)
    this.#client.addPart(spec, reply, variables)
    this.#parts.push(part)
    for (const { name } of added) this.#variables.add(name)
    if (first) this.#spend('data', this.#waited)
    if (first && from === 0) this.#goLive(part)
    else if (!this.replaying) {
      this.#client.wait(this.#step)
      this.#client.assign(part.number, this.#step)
    }
    return part
  }

  /** Everything before this step is replayed: takes its version, as every step leaves the next one's behind. */
  #goLive({ trainee }: JoinedPart): void {
    const { from } = this.#spec
    this.#known.wait(from)
    this.#known.assignAll(from)
    const replayMs = this.#replayBegan === undefined ? 0 : this.now() - this.#replayBegan
    this.#link.tell({ tell: 'live', step: from, outputs: trainee.outputs, replayMs })
  }

  #warnOfForgotten(): void {
    const { first } = this.#spec.journal
    if (first === 0) return
    const message =
      `the journal has forgotten the first ${first} steps: of them only epoch callbacks are called again, ` +
      'and what batch callbacks or a loop of its own gathered from them is lost'
    this.#link.tell({ tell: 'log', level: 'warn', message })
  }

  /** A later batch's number of rows would be taken for this one's, and a replay could not tell which to draw. */
  #checkDraws(): void {
    const draws = this.#drawn?.draws ?? 1
    if (draws === 1) return
    throw new TroupeError('ERR_REPLAY_LOOKAHEAD', `${draws} batches were drawn for step ${this.#step + 1}`)
  }

  /** Planned kills that happen while the chief is at something: of this worker, or of another actor. */
  faultPoint(during: FaultPhase): void {
    this.#meetKills({ step: this.#step + 1, during })
  }

  #killPoint(step: number, pushedTo: number | undefined): void {
    const actor = `worker-${this.#spec.rank}`
    this.#meetKills({
      actor,
      step: step + 1,
      ...(pushedTo === undefined ? {} : { afterPushTo: `ps-${pushedTo}` }),
    })
  }

  #meetKills(point: FaultPoint): void {
    for (;;) {
      const kill = killAt(this.#kills, point)
      if (kill === undefined) return
      this.#kills.splice(this.#kills.indexOf(kill), 1)
      this.#link.ask({ ask: 'fault', kill, step: point.step })
    }
  }

  #refuseWithin(what: string): void {
    if (!this.#withinTask()) return
    throw new TroupeError(
      'ERR_TRAINING_LOOP',
      `after step ${this.#step} the program ${what} within something that is done once in the job, by the chief alone`,
    )
  }

  #seed(place: 'start' | 'in' | 'after', step: number): void {
    const { seed, rank } = this.#spec
    // Initial values are the chief's; equal streams before the first step let every rank build them alike.
    this.#random.reseed(hashSeed(seed, place === 'start' ? place : `${place} ${rank}/${step}`))
  }

  #spend(phase: StepPhase, ms: number): void {
    this.#client?.region.spend(phase, ms)
  }

  get #known(): ExchangeClient {
    if (this.#client !== undefined) return this.#client
    throw new TroupeError('ERR_INTERNAL', 'values were exchanged before the first step')
  }
}

function sameTrainee(a: Trainee, b: Trainee): boolean {
  return (
    a.optimizer.id === b.optimizer.id &&
    sameList(a.trainable, b.trainable) &&
    sameList(a.state, b.state) &&
    sameList(a.outputs, b.outputs)
  )
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i])
}

function traineeText({ optimizer, trainable }: Trainee): string {
  return `${trainable.length} variables (${trainable[0]?.name ?? 'none'}, …) with optimizer ${optimizer.id}`
}

function variableSpec(variable: Tfjs.Variable, trainable: boolean): VariableSpec {
  if (variable.dtype !== 'float32') {
    throw new TroupeError(
      'ERR_TENSOR_DTYPE',
      `variable ${variable.name} is ${variable.dtype}; parameter servers hold float32`,
    )
  }
  return { name: variable.name, shape: [...variable.shape], trainable }
}
