import { TensorData } from '../wire/index.js'
import type { Delivery } from './delivery.js'
import type { HandlerEntry } from './protocol.js'

/** Bytes that a payload counts when it is neither text nor binary. */
export const FLAT_PAYLOAD_BYTES = 64

/** Messages that a ring holds before it grows for the first time. */
const INITIAL_CAPACITY = 8
/** A ring that grew beyond this is given back once it is empty. */
const KEPT_CAPACITY = 64
/** Slots a message takes: handler, payload, delivery, bytes. */
const STRIDE = 4

/**
 * A first-in-first-out ring of messages. A message is four slots of one array rather than an object, so that a
 * tell allocates nothing. It does not enforce its bounds: the cell does, since system messages ignore them.
 */
export class Mailbox {
  #slots: unknown[] = new Array(INITIAL_CAPACITY * STRIDE)
  #head = 0
  size = 0
  bytes = 0

  // the message taken last
  handler: HandlerEntry | undefined
  payload: unknown
  delivery: Delivery | undefined

  push(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined, bytes: number): void {
    let slots = this.#slots
    if (this.size * STRIDE === slots.length) slots = this.#grow()
    const at = (this.#head + this.size * STRIDE) & (slots.length - 1)
    slots[at] = handler
    slots[at + 1] = payload
    slots[at + 2] = delivery
    slots[at + 3] = bytes
    this.size++
    this.bytes += bytes
  }

  /** Takes the oldest message into `handler`, `payload` and `delivery`. The caller checked `size`. */
  take(): void {
    const slots = this.#slots
    const at = this.#head
    this.handler = slots[at] as HandlerEntry
    this.payload = slots[at + 1]
    this.delivery = slots[at + 2] as Delivery | undefined
    this.bytes -= slots[at + 3] as number
    slots[at + 1] = undefined
    slots[at + 2] = undefined
    this.#head = (at + STRIDE) & (slots.length - 1)
    if (--this.size === 0 && slots.length > KEPT_CAPACITY * STRIDE) {
      this.#slots = new Array(INITIAL_CAPACITY * STRIDE)
      this.#head = 0
    }
  }

  #grow(): unknown[] {
    const old = this.#slots
    const grown: unknown[] = new Array(old.length * 2)
    for (let i = 0; i < old.length; i++) grown[i] = old[(this.#head + i) & (old.length - 1)]
    this.#slots = grown
    this.#head = 0
    return grown
  }
}

/** What a payload counts against a mailbox's bytes. A packed one is the array of a message's arguments. */
export function payloadBytes(payload: unknown, packed: boolean): number {
  if (typeof payload === 'string') return 2 * payload.length
  if (typeof payload !== 'object' || payload === null) return FLAT_PAYLOAD_BYTES
  // first, since a sealed message is binary whatever its handler packs
  if (ArrayBuffer.isView(payload) || payload instanceof ArrayBuffer) return payload.byteLength
  if (packed) {
    let sum = 0
    for (const argument of payload as unknown[]) sum += payloadBytes(argument, false)
    return sum
  }
  if (payload instanceof TensorData) return payload.bytes.byteLength
  return FLAT_PAYLOAD_BYTES
}
