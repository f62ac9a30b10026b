import {
  Actor,
  actor,
  ActorContext,
  Args,
  CheckpointPlaces,
  CheckpointStore,
  handles,
  inject,
  type ActorRef,
  type CheckpointEntry,
  type ComputeFingerprint,
  type DeferredReply,
} from 'troupe'
import { encodeJobState, type SnapshotTensor, type TrainingState } from 'troupe/training'
import { FaultPoints } from './fault-points.js'
import { jobFacts, type JobSpec } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'
import { stepsOf } from './step-tally.js'

export interface CheckpointerArgs {
  readonly job: JobSpec
  readonly supervisor: ActorRef<JobSupervisor>
}

/** One server's part of a cut. */
export interface CutPiece {
  readonly generation: number
  /** The version that was cut. */
  readonly step: number
  readonly shard: number
  /** May lie in shared memory; nobody changes it until the piece is answered. */
  readonly tensors: readonly SnapshotTensor[]
  /** From server 0. */
  readonly state: TrainingState | null
}

/** A checkpoint by its place and version. */
export interface CheckpointRef extends CheckpointEntry {
  /** For people. */
  readonly path: string
}

/** A checkpoint that was just written. */
export interface WrittenCheckpoint extends CheckpointRef {
  /** Steps in it: of each worker, or in exact mode one number for all. */
  readonly steps: readonly number[]
  /** null: it was there already. */
  readonly bytes: number | null
  /** From the cut's last piece to the end of writing. */
  readonly seconds: number
}

interface Cut {
  readonly generation: number
  readonly step: number
  readonly pieces: CutPiece[]
  /** Who waits to use the memory again. */
  readonly replies: DeferredReply<null>[]
}

/** Writes cuts as checkpoints, one after the other, while training goes on. */
@actor('checkpointer', { module: import.meta.url })
export class Checkpointer extends Actor {
  readonly #args: CheckpointerArgs
  readonly #store: CheckpointStore
  readonly #faults: FaultPoints
  /** Cuts of which pieces are lacking, and at most one that waits for its turn. */
  #cuts: Cut[] = []
  #waiting: Cut | undefined
  #writing = false
  /** Resolves when nothing is being written. */
  #written: Promise<void> = Promise.resolve()
  /** Cuts of lower generations are dropped. */
  #generation = 0
  #incarnation = 0
  #fingerprint: ComputeFingerprint | null = null

  constructor(
    @inject(ActorContext) ctx: ActorContext,
    @inject(Args) args: CheckpointerArgs,
    @inject(CheckpointPlaces) places: CheckpointPlaces,
  ) {
    super()
    this.#args = args
    this.#store = new CheckpointStore(places.open(args.job.checkpoints.place), { random: ctx.random })
    this.#faults = new FaultPoints(ctx, args.job, args.supervisor)
  }

  /** What is being written is written to its end, if that does not take too long. */
  override async onStop(): Promise<void> {
    await this.#written
  }

  /** A supervisor takes over, at this generation. */
  @handles() lead(incarnation: number, generation: number): void {
    this.#incarnation = Math.max(this.#incarnation, incarnation)
    this.#enter(generation)
  }

  @handles() computesOn(fingerprint: ComputeFingerprint): void {
    this.#fingerprint = fingerprint
  }

  /** Takes a server's piece; answers when its memory may be used again, whatever became of the cut. */
  @handles() piece(piece: CutPiece): DeferredReply<null> {
    const reply = this.ctx.deferReply<null>()
    if (piece.generation < this.#generation) {
      reply.resolve(null)
      return reply
    }
    let cut = this.#cuts.find(
      ({ generation, step }) => generation === piece.generation && step === piece.step,
    )
    if (cut === undefined) {
      cut = { generation: piece.generation, step: piece.step, pieces: [], replies: [] }
      this.#cuts.push(cut)
    }
    cut.pieces.push(piece)
    cut.replies.push(reply)
    if (cut.pieces.length === this.#args.job.parameterServers) this.#complete(cut)
    return reply
  }

  /**
   * The job goes back: nothing of lower generations is committed from now on.
   *
   * @returns the newest checkpoint that verifies; null if there is none
   */
  @handles() rewind(generation: number): DeferredReply<CheckpointRef | null> {
    const reply = this.ctx.deferReply<CheckpointRef | null>()
    this.#enter(generation)
    this.ctx.pipeToSelf(
      this.#rewind(generation),
      ref => reply.resolve(ref),
      error => reply.reject(error as Error),
    )
    return reply
  }

  /** The newest checkpoint by name; null if there is none. Waits for the one that is being written. */
  @handles() newest(): DeferredReply<CheckpointRef | null> {
    const reply = this.ctx.deferReply<CheckpointRef | null>()
    this.ctx.pipeToSelf(
      this.#newest(),
      ref => reply.resolve(ref),
      error => reply.reject(error as Error),
    )
    return reply
  }

  #enter(generation: number): void {
    if (generation <= this.#generation) return
    this.#generation = generation
    for (const cut of this.#cuts) if (cut.generation < generation) release(cut)
    this.#cuts = this.#cuts.filter(cut => cut.generation >= generation)
  }

  #complete(cut: Cut): void {
    this.#cuts = this.#cuts.filter(other => {
      const keeps = other !== cut && other.step > cut.step
      if (!keeps && other !== cut) release(other)
      return keeps
    })
    if (this.#waiting !== undefined) release(this.#waiting)
    this.#waiting = cut
    this.#next()
  }

  #next(): void {
    if (this.#writing) return
    this.#writing = true
    this.#written = this.#writeWaiting()
    this.ctx.pipeToSelf(this.#written, () => this.ctx.progress())
  }

  async #writeWaiting(): Promise<void> {
    const { supervisor } = this.#args
    for (let cut = this.#waiting; cut !== undefined; cut = this.#waiting) {
      this.#waiting = undefined
      try {
        const written = await this.#write(cut)
        if (written !== undefined) supervisor.tell.checkpointed(written)
      } catch (error) {
        if (cut.generation >= this.#generation) {
          supervisor.tell.checkpointFailed(cut.step, stepsIn(cut), error)
        }
      } finally {
        release(cut)
      }
    }
    this.#writing = false
  }

  /** @returns undefined when the job rolled back meanwhile */
  async #write(cut: Cut): Promise<WrittenCheckpoint | undefined> {
    const { generation, step, pieces } = cut
    const { job } = this.#args
    const { clock } = this.ctx
    const began = clock.monotonic()
    const attempt = await this.#store.beginAttempt(generation, step)
    try {
      for (const { shard, tensors } of pieces) {
        await attempt.writeShard(shard, pieces.length, tensors)
        // Some of it is written, nothing is visible.
        await this.#faults.reach({ step: step + 1, during: 'checkpoint' })
      }
      const state = pieces.find(piece => piece.state !== null)!.state!
      await attempt.writeState(encodeJobState({ facts: jobFacts(job), training: state }))
      const committed = await attempt.commit({
        job: job.name,
        epoch: (state.journals[0]?.epochs.at(-1)?.epoch ?? -1) + 1,
        incarnation: this.#incarnation,
        savedAtMs: clock.now(),
        layout: { shards: pieces.length },
        fingerprint: this.#fingerprint,
        versions: this.#versions(),
      })
      if (committed.outcome === 'closed') return undefined
      await this.#store.retain({ keepLast: job.checkpoints.keepLast }, 'lengths')
      const seconds = (clock.monotonic() - began) / 1000
      const bytes = committed.outcome === 'committed' ? committed.bytes : null
      return { ...this.#ref(committed.entry), steps: stepsOf(state), bytes, seconds }
    } catch (error) {
      await attempt.abort()
      throw error
    }
  }

  async #rewind(generation: number): Promise<CheckpointRef | null> {
    // A cut that is complete is as good as written: the less has to be computed again.
    await this.#written
    await this.#store.closeGeneration(generation - 1)
    const { checkpoint } = await this.#store.newest()
    return checkpoint === undefined ? null : this.#ref(checkpoint.entry)
  }

  async #newest(): Promise<CheckpointRef | null> {
    await this.#written
    const [entry] = await this.#store.list()
    return entry === undefined ? null : this.#ref(entry)
  }

  #ref(entry: CheckpointEntry): CheckpointRef {
    return { ...entry, path: `${this.#store.files.place}/${entry.directory}` }
  }

  #versions(): Record<string, string> {
    if (this.#fingerprint === null) return {}
    const { node, tfjs, backend, build } = this.#fingerprint
    return { node, tfjs, [backend]: build }
  }
}

function stepsIn({ pieces }: Cut): readonly number[] {
  const state = pieces.find(piece => piece.state !== null)?.state
  return state ? stepsOf(state) : []
}

function release(cut: Cut): void {
  for (const reply of cut.replies) reply.resolve(null)
}
