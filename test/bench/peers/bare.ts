// The floor: what the same workload costs with nothing around it. A ring of slots, a method call, batches of 256.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { tellInBursts, timeAll, timeEach, type ActorPeer } from './peer.js'

/** Messages handled before I/O has its turn. */
const BATCH = 256

/** Kept by every queue that is empty. */
const CAPACITY = 8

/** The state of a counter, and what it handles. */
interface BareCounter {
  count: number
}

type Handler<T> = (target: BareCounter, payload: T) => void

const add: Handler<number> = (target, by) => {
  target.count += by
}

const fail: Handler<string> = (_target, why) => {
  throw new Error(why)
}

const answer: Handler<(count: number) => void> = (target, resolve) => resolve(target.count)

/** The bare queue of one object. */
class BareQueue {
  #target: BareCounter = { count: 0 }
  #slots: unknown[] = new Array<unknown>(CAPACITY * 2)
  #head = 0
  #size = 0
  #scheduled = false
  readonly #drain = (): void => this.#run()

  push<T>(handler: Handler<T>, payload: T): void {
    if (this.#size * 2 === this.#slots.length) this.#grow()
    const at = (this.#head + this.#size * 2) & (this.#slots.length - 1)
    this.#slots[at] = handler
    this.#slots[at + 1] = payload
    this.#size++
    if (!this.#scheduled) {
      this.#scheduled = true
      queueMicrotask(this.#drain)
    }
  }

  #run(): void {
    const slots = this.#slots
    for (let left = Math.min(BATCH, this.#size); left > 0; left--) {
      const at = this.#head
      const handler = slots[at] as Handler<unknown>
      const payload = slots[at + 1]
      slots[at + 1] = undefined
      this.#head = (at + 2) & (slots.length - 1)
      this.#size--
      try {
        handler(this.#target, payload)
      } catch {
        this.#target = { count: 0 }
      }
    }
    if (this.#size > 0) setImmediate(this.#drain)
    else this.#scheduled = false
  }

  #grow(): void {
    const old = this.#slots
    const slots = new Array<unknown>(old.length * 2)
    for (let i = 0; i < old.length; i++) slots[i] = old[(this.#head + i) & (old.length - 1)]
    this.#slots = slots
    this.#head = 0
  }
}

const countIn = (queue: BareQueue): Promise<number> => new Promise(resolve => queue.push(answer, resolve))

const ECHO = `const { parentPort } = require('node:worker_threads')
parentPort.on('message', message => parentPort.postMessage(message))`

export function bareFloor(): ActorPeer {
  return {
    suffix: '-floor',

    async tell(count) {
      const queue = new BareQueue()
      const burst = (messages: number): void => {
        for (let i = 0; i < messages; i++) queue.push(add, 1)
      }
      return tellInBursts(count, burst, async told => {
        if ((await countIn(queue)) !== told) throw new Error('the bare queue lost a message')
      })
    },

    async ask(count) {
      const queue = new BareQueue()
      return timeEach(count, () => countIn(queue))
    },

    async spawnStop(count) {
      return timeAll(async () => {
        const queues = new Map<string, BareQueue>()
        for (let i = 0; i < count; i++) queues.set(`a${i}`, new BareQueue())
        for (const name of [...queues.keys()].reverse()) queues.delete(name)
      })
    },

    async restart(count) {
      const queue = new BareQueue()
      const spent = await timeAll(async () => {
        for (let i = 0; i < count; i++) {
          queue.push(fail, 'asked to fail')
          await countIn(queue)
        }
      })
      return (spent / count) * 1000
    },

    /** A bare postMessage round trip. */
    async threadAsk(count) {
      const worker = new Worker(ECHO, { eval: true })
      let resolve: (value: unknown) => void = () => {}
      worker.on('message', (message: unknown) => resolve(message))
      await once(worker, 'online')
      const micros = await timeEach(
        count,
        () =>
          new Promise(settle => {
            resolve = settle
            worker.postMessage(1)
          }),
      )
      await worker.terminate()
      return micros
    },

    async idle(count) {
      const queues = new Map<string, BareQueue>()
      for (let i = 0; i < count; i++) queues.set(`a${i}`, new BareQueue())
      return { held: queues, release: async () => queues.clear() }
    },

    async close() {},
  }
}
