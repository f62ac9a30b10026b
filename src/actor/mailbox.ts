import { TensorData } from '../wire/index.js'
import type { Delivery } from './delivery.js'
import type { HandlerEntry } from './protocol.js'

/** Bytes that a payload counts when it is neither text nor binary. */
export const FLAT_PAYLOAD_BYTES = 64

/** Messages in a mailbox's first chunk, and in those it gets when that is full. */
const FIRST_CHUNK = 8
const CHUNK = 256
/** Slots a message takes: handler, payload, delivery, bytes. */
const STRIDE = 4

/** A stretch of the queue: written once from front to back, read once, then dropped or kept as the spare one. */
interface Chunk {
  readonly slots: unknown[]
  next: Chunk | undefined
}

const chunkOf = (messages: number): Chunk => ({
  slots: new Array<unknown>(messages * STRIDE),
  next: undefined,
})

/**
 * A first-in-first-out queue of messages, in linked chunks: a backlog grows and shrinks without ever being copied. A
 * message is four slots of an array rather than an object, so that a tell allocates nothing. It does not enforce its
 * bounds: the cell does, since system messages ignore them.
 */
export class Mailbox {
  #head: Chunk = chunkOf(FIRST_CHUNK)
  #tail: Chunk = this.#head
  /** Next slot to read in the head, to write in the tail. */
  #read = 0
  #write = 0
  #spare: Chunk | undefined = undefined
  size = 0
  bytes = 0

  // the message taken last
  handler: HandlerEntry | undefined = undefined
  payload: unknown = undefined
  delivery: Delivery | undefined = undefined

  push(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined, bytes: number): void {
    if (this.#write === this.#tail.slots.length) this.#extend()
    const { slots } = this.#tail
    const at = this.#write
    slots[at] = handler
    slots[at + 1] = payload
    slots[at + 2] = delivery
    slots[at + 3] = bytes
    this.#write = at + STRIDE
    this.size++
    this.bytes += bytes
  }

  /** Takes the oldest message into `handler`, `payload` and `delivery`. The caller checked `size`. */
  take(): void {
    if (this.#read === this.#head.slots.length) this.#advance()
    const { slots } = this.#head
    const at = this.#read
    this.handler = slots[at] as HandlerEntry
    this.payload = slots[at + 1]
    this.delivery = slots[at + 2] as Delivery | undefined
    this.bytes -= slots[at + 3] as number
    slots[at + 1] = undefined
    slots[at + 2] = undefined
    this.#read = at + STRIDE
    if (--this.size === 0) {
      // from the front again: a mailbox that is emptied now and then stays in its first chunk
      this.#read = 0
      this.#write = 0
    }
  }

  /** Forgets the message taken last: while the mailbox idles, it must keep nothing alive. */
  release(): void {
    this.payload = undefined
    this.delivery = undefined
  }

  /** The delivery of the oldest message that has a fitting one. Looks at all: for what is rare. */
  findDelivery(fits: (delivery: Delivery) => boolean): Delivery | undefined {
    let at = this.#read
    for (let chunk: Chunk | undefined = this.#head; chunk !== undefined; chunk = chunk.next) {
      const end = chunk === this.#tail ? this.#write : chunk.slots.length
      for (; at < end; at += STRIDE) {
        const delivery = chunk.slots[at + 2] as Delivery | undefined
        if (delivery !== undefined && fits(delivery)) return delivery
      }
      at = 0
    }
    return undefined
  }

  #extend(): void {
    const chunk = this.#spare ?? chunkOf(CHUNK)
    this.#spare = undefined
    this.#tail.next = chunk
    this.#tail = chunk
    this.#write = 0
  }

  #advance(): void {
    const done = this.#head
    this.#head = done.next as Chunk
    this.#read = 0
    done.next = undefined
    if (done.slots.length === CHUNK * STRIDE) this.#spare = done
  }
}

/** What a payload counts against a mailbox's bytes. A packed one is the array of a message's arguments. */
export function payloadBytes(payload: unknown, packed: boolean): number {
  if (typeof payload === 'string') return 2 * payload.length
  if (typeof payload !== 'object' || payload === null) return FLAT_PAYLOAD_BYTES
  // first, since a sealed message is binary whatever its handler packs
  if (ArrayBuffer.isView(payload)) return ownBytes(payload)
  if (payload instanceof ArrayBuffer) return payload.byteLength
  if (packed) {
    let sum = 0
    for (const argument of payload as unknown[]) sum += payloadBytes(argument, false)
    return sum
  }
  if (payload instanceof TensorData) return ownBytes((payload as TensorData).bytes)
  return FLAT_PAYLOAD_BYTES
}

/** Shared memory is not the mailbox's: it stays, whether the message waits or not. */
function ownBytes(view: ArrayBufferView): number {
  return view.buffer instanceof SharedArrayBuffer ? FLAT_PAYLOAD_BYTES : view.byteLength
}
