import type { Socket } from 'node:net'
import { SLOT_BYTES, SlotReader, SlotWriter } from './bulk-slots.js'
import type { IsolationMessage } from './isolation-protocol.js'
import { messageBytes, messageOf, type MessageBytes } from './message-bytes.js'

/**
 * The records on the socket: kind and length, four bytes each, then as many bytes as the kind says. A head is followed by
 * its bulk, piece by piece, each in a slot or in the stream itself.
 */
const HEAD = 1
/** The lengths of the bulk, eight bytes each. Before the head that they belong to; left out where there is none. */
const LENGTHS = 2
/** `length` bytes of bulk are in the next slot. */
const SLOT = 3
/** `length` bytes of bulk follow. */
const BYTES = 4
/** `length` slots are free again. */
const FREED = 5

const RECORD_BYTES = 8

/** Descriptors of files in memory, one for each direction. */
export interface SlotFiles {
  readonly outgoing: number
  readonly incoming: number
}

/**
 * Messages between two processes, whole and in order: small ones through a local socket, and what is large through
 * memory that both have, with the socket as the bell. Where there is no such memory, all goes through the socket.
 */
export class MessageLink {
  readonly #socket: Socket
  readonly #writer: SlotWriter | undefined
  readonly #reader: SlotReader | undefined
  readonly #onMessage: (message: IsolationMessage) => void
  /** Bulk that waits for a free slot, and whatever was posted behind it. */
  readonly #queue: MessageBytes[] = []
  /** Of the first in the queue, whose head is out: what is left of its bulk. */
  #left: Uint8Array[] | undefined
  #parts: Buffer[] = []
  #partBytes = 0
  /** Nothing can be done with fewer. */
  #neededBytes = RECORD_BYTES
  /** The message whose bulk is coming. */
  #coming: { head: Buffer; bulk: Uint8Array[]; index: number; at: number } | undefined
  #lengths: number[] = []

  constructor(socket: Socket, files: SlotFiles | undefined, onMessage: (message: IsolationMessage) => void) {
    this.#socket = socket
    this.#writer = files && new SlotWriter(files.outgoing)
    this.#reader = files && new SlotReader(files.incoming)
    this.#onMessage = onMessage
    socket.on('data', (data: Buffer) => this.#onData(data))
  }

  /** @throws Error what cannot be cloned; nothing has been sent then */
  post(message: IsolationMessage): void {
    const bytes = messageBytes(message)
    if (this.#queue.length === 0 && bytes.bulk.length === 0) {
      this.#record(HEAD, bytes.head)
      return
    }
    this.#queue.push(bytes)
    if (this.#queue.length === 1) this.#pump()
  }

  /** Sends what can be sent. */
  #pump(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      if (this.#left === undefined) {
        if (first.bulk.length > 0) this.#record(LENGTHS, lengthsOf(first.bulk))
        this.#record(HEAD, first.head)
        this.#left = [...first.bulk]
      }
      for (let bytes = this.#left[0]; bytes !== undefined; bytes = this.#left[0]) {
        const piece = bytes.subarray(0, SLOT_BYTES)
        const outcome = this.#writer?.write(piece) ?? 'failed'
        if (outcome === 'full') return
        if (outcome === 'written') this.#socket.write(header(SLOT, piece.byteLength))
        else this.#record(BYTES, piece)
        if (piece.byteLength === bytes.byteLength) this.#left.shift()
        else this.#left[0] = bytes.subarray(piece.byteLength)
      }
      this.#left = undefined
      this.#queue.shift()
    }
  }

  #record(kind: number, bytes: Uint8Array): void {
    if (bytes.byteLength < SMALL_BYTES) {
      // one piece costs less than two
      const record = Buffer.allocUnsafe(RECORD_BYTES + bytes.byteLength)
      record.writeUInt32LE(kind, 0)
      record.writeUInt32LE(bytes.byteLength, 4)
      record.set(bytes, RECORD_BYTES)
      this.#socket.write(record)
    } else {
      this.#socket.cork()
      this.#socket.write(header(kind, bytes.byteLength))
      this.#socket.write(bytes)
      this.#socket.uncork()
    }
  }

  #onData(data: Buffer): void {
    this.#parts.push(data)
    this.#partBytes += data.byteLength
    if (this.#partBytes < this.#neededBytes) return
    const stream = this.#parts.length === 1 ? data : Buffer.concat(this.#parts, this.#partBytes)
    let at = 0
    let freed = 0
    this.#neededBytes = RECORD_BYTES
    while (stream.byteLength - at >= RECORD_BYTES) {
      const kind = stream.readUInt32LE(at)
      const length = stream.readUInt32LE(at + 4)
      const end = at + RECORD_BYTES + (kind === SLOT || kind === FREED ? 0 : length)
      if (end > stream.byteLength) {
        this.#neededBytes = end - at
        break
      }
      if (kind === SLOT) freed += 1
      this.#onRecord(kind, length, stream.subarray(at + RECORD_BYTES, end))
      at = end
    }
    const rest = stream.subarray(at)
    this.#parts = rest.byteLength === 0 ? [] : [rest]
    this.#partBytes = rest.byteLength
    if (freed > 0) this.#socket.write(header(FREED, freed))
  }

  #onRecord(kind: number, length: number, bytes: Buffer): void {
    switch (kind) {
      case HEAD: {
        const bulk = this.#lengths.map(bulkBytes => newBytes(bulkBytes))
        this.#lengths = []
        if (bulk.length === 0) this.#onMessage(messageOf({ head: bytes, bulk }))
        else this.#coming = { head: bytes, bulk, index: 0, at: 0 }
        break
      }
      case LENGTHS:
        for (let at = 0; at < length; at += 8) this.#lengths.push(bytes.readDoubleLE(at))
        break
      case SLOT:
        this.#bulk(length, into => this.#reader?.read(into))
        break
      case BYTES:
        this.#bulk(length, into => into.set(bytes))
        break
      case FREED:
        this.#writer?.freed(length)
        this.#pump()
        break
    }
  }

  #bulk(length: number, fill: (into: Uint8Array) => void): void {
    const coming = this.#coming
    const target = coming?.bulk[coming.index]
    if (coming === undefined || target === undefined) return
    fill(target.subarray(coming.at, coming.at + length))
    coming.at += length
    if (coming.at < target.byteLength) return
    coming.index += 1
    coming.at = 0
    if (coming.index < coming.bulk.length) return
    this.#coming = undefined
    this.#onMessage(messageOf(coming))
  }
}

/** Records up to this length are copied into one piece. */
const SMALL_BYTES = 16 * 1024

function header(kind: number, length: number): Buffer {
  const record = Buffer.allocUnsafe(RECORD_BYTES)
  record.writeUInt32LE(kind, 0)
  record.writeUInt32LE(length, 4)
  return record
}

function lengthsOf(bulk: readonly Uint8Array[]): Buffer {
  const lengths = Buffer.allocUnsafe(8 * bulk.length)
  for (const [i, { byteLength }] of bulk.entries()) lengths.writeDoubleLE(byteLength, 8 * i)
  return lengths
}

/** Memory that will be written, all of it: not zeroed before. */
function newBytes(byteLength: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(byteLength)
  return new Uint8Array(buffer, byteOffset, byteLength)
}
