/**
 * Watching and timers: an actor learns of another's death, once, whenever it asks.
 * Shows a heartbeat by timer, a timer that dies with its incarnation, and why an actor died.
 *
 * npm run build && node dist/examples/03-watch-and-timers.js
 */
import {
  Actor,
  actor,
  handles,
  Troupe,
  TroupeError,
  type ActorRef,
  type DeferredReply,
  type Terminated,
} from 'troupe'

@actor('patient')
class Patient extends Actor {
  #beats = 0

  override onStart(): void {
    this.ctx.every(20, () => {
      this.#beats++
      if (this.#beats === 3) throw new Error('the heart stopped')
    })
  }

  @handles() beats(): number {
    return this.#beats
  }
}

@actor('nurse')
class Nurse extends Actor {
  #waiting: DeferredReply<string> | undefined
  #news: string | undefined

  @handles() lookAfter(patient: ActorRef): void {
    this.ctx.watch(patient)
  }

  /** Answers when there is something to tell; other messages are handled meanwhile. */
  @handles() news(): DeferredReply<string> {
    const reply = this.ctx.deferReply<string>()
    if (this.#news === undefined) this.#waiting = reply
    else reply.resolve(this.#news)
    return reply
  }

  override onTerminated({ path, reason }: Terminated): void {
    const why = reason.kind === 'failed' ? `${reason.kind}: ${String(reason.cause)}` : reason.kind
    this.#news = `${path} ended: ${why}`
    this.#waiting?.resolve(this.#news)
  }
}

await using troupe = await Troupe.start()
const nurse = await troupe.spawn(Nurse, { name: 'nurse' })

// 'temporary': never started again, so its first failure is its death.
const patient = await troupe.spawn(Patient, { name: 'patient', restart: 'temporary' })
nurse.tell.lookAfter(patient)
console.log(await nurse.ask.news())

// Watching what is dead already tells too, once.
const late = await troupe.spawn(Nurse, { name: 'late-nurse' })
late.tell.lookAfter(patient)
console.log('told late:', await late.ask.news())

try {
  await patient.ask.beats()
} catch (error) {
  if (error instanceof TroupeError) console.log('asking the dead:', error.code)
}
