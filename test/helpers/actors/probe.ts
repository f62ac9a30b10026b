import { Actor, actor, handles, type DeferredReply } from 'troupe'

interface Waiter {
  readonly count: number
  readonly reply: DeferredReply<string[]>
}

interface Gate {
  open: boolean
  readonly passing: DeferredReply<void>[]
  readonly watching: { readonly count: number; readonly reply: DeferredReply<void> }[]
}

/**
 * What a test shares with the actors it looks at, wherever they run: notes that they write down in order, and gates at
 * which they wait until the test opens them.
 */
@actor('test-probe', { module: import.meta.url })
export class Probe extends Actor {
  #notes: string[] = []
  #waiters: Waiter[] = []
  readonly #gates = new Map<string, Gate>()

  @handles() note(text: string): void {
    this.#notes.push(text)
    const ready = this.#waiters.filter(waiter => this.#notes.length >= waiter.count)
    this.#waiters = this.#waiters.filter(waiter => !ready.includes(waiter))
    for (const { reply } of ready) reply.resolve([...this.#notes])
  }

  /** The notes so far; the count begins anew. */
  @handles() take(): string[] {
    const notes = this.#notes
    this.#notes = []
    return notes
  }

  /** The notes, once there are that many. */
  @handles() reach(count: number): DeferredReply<string[]> {
    const reply = this.ctx.deferReply<string[]>()
    if (this.#notes.length >= count) reply.resolve([...this.#notes])
    else this.#waiters.push({ count, reply })
    return reply
  }

  @handles() pass(name: string): DeferredReply<void> {
    const reply = this.ctx.deferReply<void>()
    const gate = this.#gate(name)
    if (gate.open) reply.resolve()
    else gate.passing.push(reply)
    for (const { count, reply: seen } of gate.watching) if (gate.passing.length >= count) seen.resolve()
    return reply
  }

  /** Lets everyone through who waits at the gate or comes later. */
  @handles() open(name: string): void {
    const gate = this.#gate(name)
    gate.open = true
    for (const reply of gate.passing) reply.resolve()
  }

  /** Answered once `count` callers have come to the gate. */
  @handles() arrived(name: string, count = 1): DeferredReply<void> {
    const reply = this.ctx.deferReply<void>()
    const gate = this.#gate(name)
    if (gate.passing.length >= count) reply.resolve()
    else gate.watching.push({ count, reply })
    return reply
  }

  #gate(name: string): Gate {
    let gate = this.#gates.get(name)
    if (gate === undefined) this.#gates.set(name, (gate = { open: false, passing: [], watching: [] }))
    return gate
  }
}
