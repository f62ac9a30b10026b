import type * as Tfjs from '@tensorflow/tfjs'
import { killAt, type FaultPhase, type FaultPoint, type KillSpec } from '../config/index.js'
import { hashSeed, type Clock, type MathRandomSeed } from '../determinism/index.js'
import { TroupeError } from '../errors.js'
import {
  journalEntry,
  type JournalEntry,
  type ModelSpec,
  type OptimizerSpec,
  type StepPhase,
  type VariableSpec,
} from '../training/index.js'
import { DeterminismCheck } from './determinism-check.js'
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
  #joined:
    { readonly trainee: Trainee; readonly model: ModelSpec; readonly client: ExchangeClient } | undefined
  /** The batch drawn for the coming step, if it came from `ctx.dataset`. */
  #drawn: DrawnBatch | undefined
  /** Gradients may be staged: a step is being computed. */
  #computing = false
  /** Whether the code that runs is done once in the job, on the chief alone. */
  #withinTask: () => boolean = () => false
  /** Milliseconds, until there is a region to count them in. */
  #waited = 0
  #pushMs = 0

  constructor({ tf, spec, link, clock, random }: SessionParts) {
    this.#tf = tf
    this.#spec = spec
    this.#kills = [...spec.kills]
    this.#link = link
    this.#clock = clock
    this.#random = random
    this.#check = spec.checkDeterminism === true ? new DeterminismCheck(tf) : undefined
    this.#seed('start', -1)
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
    if (this.#joined === undefined) this.#waited += waitedMs
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
    const { model, client } = this.#join(trainee)
    const entry = this.replaying
      ? this.#replay(model, client)
      : this.#train(client, trainee, this.#drawn?.rows ?? rows, compute)
    this.#drawn = undefined
    this.#step += 1
    if (step + 1 === this.#spec.from) this.#goLive({ client, model })
    this.#seed('after', step)
    return entry
  }

  /** Takes the gradients of the step that is being computed, by the names of their variables. */
  stage(gradients: ReadonlyMap<string, Tfjs.Tensor | undefined>): void {
    const began = this.now()
    const { client, trainee } = this.#known()
    this.#check?.stage(gradients)
    for (const [index, { name }] of trainee.trainable.entries()) client.write(index, gradients.get(name))
    this.#pushMs += this.now() - began
  }

  #replay(model: ModelSpec, client: ExchangeClient): JournalEntry {
    const step = this.#step
    if (step >= this.#spec.journal.steps) {
      // Pushed by the worker before this one, but other ranks were still at it.
      client.wait(step + 1)
      return client.answer(step + 1)
    }
    const entry = journalEntry(this.#spec.journal, step)
    if (entry.outputs.length === model.outputs.length) return entry
    throw new TroupeError(
      'ERR_REPLAY_DIVERGED',
      `step ${step + 1} returns ${model.outputs.length} values (${model.outputs.join(', ')}); ` +
        `the journal has ${entry.outputs.length}`,
    )
  }

  #train(
    client: ExchangeClient,
    trainee: Trainee,
    rows: number,
    compute: () => ArrayLike<number>,
  ): JournalEntry {
    const step = this.#step
    this.#killPoint(step, undefined)
    this.#pushMs = 0
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
    this.#spend('compute', computed - began - this.#pushMs)
    for (const [i, variable] of trainee.state.entries()) client.write(trainee.trainable.length + i, variable)
    client.writeOutputs(outputs)
    client.push({ step, rows, optimizer: 0 }, shard => this.#killPoint(step, shard))
    const pushed = this.now()
    this.#spend('push', pushed - computed + this.#pushMs)
    client.wait(step + 1)
    const closed = this.now()
    this.#spend('barrier', closed - pushed)
    client.assign(step + 1)
    this.#spend('pull', this.now() - closed)
    return client.answer(step + 1)
  }

  #join(trainee: Trainee): { model: ModelSpec; client: ExchangeClient } {
    if (this.#joined !== undefined) {
      if (sameTrainee(this.#joined.trainee, trainee)) return this.#joined
      throw new TroupeError(
        'ERR_TRAINING_LOOP',
        `step ${this.#step + 1} trains ${traineeText(trainee)}, the steps before ${traineeText(this.#joined.trainee)}`,
      )
    }
    const variables = [...trainee.trainable, ...trainee.state]
    const model: ModelSpec = {
      variables: variables.map((variable, i) => variableSpec(variable, i < trainee.trainable.length)),
      optimizers: [{ spec: trainee.optimizer, variables: [...trainee.trainable.keys()] }],
      outputs: trainee.outputs,
    }
    const { rank, from } = this.#spec
    const initial = rank === 0 && from === 0 ? variables.map(v => Float32Array.from(v.dataSync())) : null
    const reply = this.#link.ask({ ask: 'join', model, initial })
    const client = new ExchangeClient(this.#tf, reply, model, variables)
    this.#joined = { trainee, model, client }
    this.#spend('data', this.#waited)
    if (from === 0) this.#goLive(this.#joined)
    return this.#joined
  }

  /** Everything before this step is replayed: takes its version, as every step leaves the next one's behind. */
  #goLive({ client, model }: { client: ExchangeClient; model: ModelSpec }): void {
    const { from } = this.#spec
    client.wait(from)
    client.assign(from)
    this.#link.tell({ tell: 'live', step: from, outputs: model.outputs })
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
    this.#joined?.client.region.spend(phase, ms)
  }

  #known(): { readonly client: ExchangeClient; readonly trainee: Trainee } {
    if (this.#joined !== undefined) return this.#joined
    throw new TroupeError('ERR_INTERNAL', 'gradients were staged before the first step')
  }
}

function sameTrainee(a: Trainee, b: Trainee): boolean {
  return (
    a.optimizer.id === b.optimizer.id &&
    a.trainable.length === b.trainable.length &&
    a.trainable.every((variable, i) => variable === b.trainable[i])
  )
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
