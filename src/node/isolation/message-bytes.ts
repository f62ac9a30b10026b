import { DefaultDeserializer, DefaultSerializer } from 'node:v8'
import type { IsolationMessage } from './isolation-protocol.js'
import { BULK_BYTES } from './transferable.js'

/** A message between processes: its head in one piece, and beside it the frames that are worth a way of their own. */
export interface MessageBytes {
  readonly head: Buffer
  readonly bulk: readonly Uint8Array[]
}

/** How the bytes of a view are told; anything but a plain array of bytes as Node does it. */
const OTHER_VIEW = 0
const INLINE = 1
const BULK = 2

/** What Node's types leave out. */
interface HostObjects {
  _writeHostObject(view: NodeJS.TypedArray): void
  _readHostObject(): unknown
}

const nodeSerializer = DefaultSerializer.prototype as unknown as HostObjects
const nodeDeserializer = DefaultDeserializer.prototype as unknown as HostObjects

class MessageSerializer extends DefaultSerializer {
  readonly bulk: Uint8Array[] = []

  _writeHostObject(view: NodeJS.TypedArray): void {
    if (!(view instanceof Uint8Array)) {
      this.writeUint32(OTHER_VIEW)
      nodeSerializer._writeHostObject.call(this, view)
      return
    }
    const isBulk = view.byteLength >= BULK_BYTES
    this.writeUint32(isBulk ? BULK : INLINE)
    this.writeDouble(view.byteLength)
    if (isBulk) this.bulk.push(view)
    else this.writeRawBytes(view)
  }
}

class MessageDeserializer extends DefaultDeserializer {
  readonly #bulk: readonly Uint8Array[]
  #taken = 0

  constructor(head: Buffer, bulk: readonly Uint8Array[]) {
    super(head)
    this.#bulk = bulk
  }

  _readHostObject(): unknown {
    const kind = this.readUint32()
    if (kind === OTHER_VIEW) return nodeDeserializer._readHostObject.call(this)
    const byteLength = this.readDouble()
    // of their own: the head is part of whatever came with one read
    return kind === BULK ? this.#bulk[this.#taken++] : new Uint8Array(this.readRawBytes(byteLength))
  }
}

/** As `postMessage` would clone it: the bulk is not copied, and must not be changed until it is sent. */
export function messageBytes(message: IsolationMessage): MessageBytes {
  const serializer = new MessageSerializer()
  serializer.writeHeader()
  serializer.writeValue(message)
  return { head: serializer.releaseBuffer(), bulk: serializer.bulk }
}

export function messageOf({ head, bulk }: MessageBytes): IsolationMessage {
  const deserializer = new MessageDeserializer(head, bulk)
  deserializer.readHeader()
  return deserializer.readValue() as IsolationMessage
}
