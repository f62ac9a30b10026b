import { TroupeError } from '../errors.js'
import { aligned, ALIGNMENT, MAX_BODY_BYTES, readBlocks, type BodyWriter, type Descriptor } from './body.js'
import { envelopeFromWire, envelopeToWire, type Envelope } from './envelope.js'
import { badFrame } from './frame-error.js'
import { glimpse } from './glimpse.js'
import { pack, unpack } from './msgpack.js'
import { holdsOddText } from './odd-text.js'
import { PayloadDecoder } from './payload-decoder.js'
import { PayloadEncoder } from './payload-encoder.js'
import { isPlain } from './plain.js'
import { scanValue, unsigned } from './scan.js'
import type { SharedBuffers } from './shared-memory.js'
import type { ValueHooks } from './value-hooks.js'

/** The version of the frame. Nodes that speak another do not join; a frame of another is refused. */
export const PROTOCOL_VERSION = 1

/** A message as it travels: what it is for, what it is called, what it says. */
export interface Frame {
  readonly envelope: Envelope
  /** The name of the message; empty where the kind says all. */
  readonly name: string
  readonly args: unknown[]
}

/** An array of four: version, header, padding, body. */
const FRAME_TOKEN = 0x94
const HEADER_START = 2
/** Envelope, name, arguments, descriptors. */
const HEADER_LENGTH = 4
const BIN8 = 0xc4
const BIN16 = 0xc5
const BIN32 = 0xc6
const BIN32_HEAD_BYTES = 5

/** A number that takes two bytes, as does an empty binary: it holds the place of padding and of body. */
const PLACEHOLDER = 0xc8
const TAIL_BYTES = 4

const NO_DESCRIPTORS: readonly Descriptor[] = []

/**
 * Writes one message as a frame: the msgpack value `[version, header, padding, body]` with the header
 * `[envelope, name, args, descriptors]`.
 *
 * A frame without tensors and binaries may be a view of a larger pooled buffer, as Node's own buffers are: before it is
 * posted to a thread, copy it with `new Uint8Array(frame)` (a Buffer's `slice` shares memory), else the whole pool goes
 * along. A frame with them has its memory to itself.
 *
 * @param hooks lets objects travel that the codec does not know
 * @param shared for a frame that stays in this process: takes the shared buffers that it names, which must travel with
 * it to {@link decodeFrame}
 * @throws TroupeError ERR_PAYLOAD naming the path to an argument that cannot be sent; ERR_SHARED_MEMORY the path to
 * memory that cannot leave the process
 */
export function encodeFrame(
  envelope: Envelope,
  name: string,
  args: readonly unknown[],
  hooks?: ValueHooks,
  shared?: SharedBuffers,
): Uint8Array {
  if (isPlain(args)) {
    const head = packHead(envelope, name, args, NO_DESCRIPTORS)
    if (!holdsOddText(head, args)) return withoutBody(head)
  }
  const encoder = new PayloadEncoder(hooks, shared)
  const wireArgs = encoder.encode(args)
  const { body } = encoder
  const head = packHead(envelope, name, wireArgs, body.descriptors)
  return body.descriptors.length === 0 ? withoutBody(head) : withBody(head, body)
}

/** The whole frame, but for padding and body. */
function packHead(
  envelope: Envelope,
  name: string,
  args: readonly unknown[],
  descriptors: readonly Descriptor[],
): Buffer {
  const header = [envelopeToWire(envelope), name, args, descriptors]
  return pack([PROTOCOL_VERSION, header, PLACEHOLDER, PLACEHOLDER])
}

function withoutBody(head: Uint8Array): Uint8Array {
  const at = head.length - TAIL_BYTES
  head[at] = head[at + 2] = BIN8
  head[at + 1] = head[at + 3] = 0
  return head
}

function withBody(head: Uint8Array, body: BodyWriter): Uint8Array {
  const { byteLength } = body
  if (byteLength > MAX_BODY_BYTES) {
    throw new TroupeError(
      'ERR_PAYLOAD',
      `${byteLength} bytes of tensors and binaries in one message, the limit is ${MAX_BODY_BYTES}`,
    )
  }
  const headerEnd = head.length - TAIL_BYTES
  const unpadded = headerEnd + 2 + BIN32_HEAD_BYTES
  const bodyStart = aligned(unpadded)
  const frame = Buffer.allocUnsafeSlow(bodyStart + byteLength)
  frame.set(head.subarray(0, headerEnd))
  frame[headerEnd] = BIN8
  frame[headerEnd + 1] = bodyStart - unpadded
  frame.fill(0, headerEnd + 2, bodyStart - BIN32_HEAD_BYTES)
  frame[bodyStart - BIN32_HEAD_BYTES] = BIN32
  frame.writeUInt32BE(byteLength, bodyStart - BIN32_HEAD_BYTES + 1)
  body.writeTo(frame, bodyStart)
  return frame
}

/**
 * Reads a frame from a stranger. Tensors and binaries in the result are views of `bytes` where their place in
 * memory allows it, so `bytes` must not be written afterwards.
 *
 * @param shared the buffers that {@link encodeFrame} put aside; none for bytes from outside, which then may name none
 * @throws TroupeError ERR_PROTOCOL_VERSION, or ERR_FRAME whose data name the field that is wrong
 */
export function decodeFrame(
  bytes: Uint8Array,
  hooks?: ValueHooks,
  shared?: readonly SharedArrayBuffer[],
): Frame {
  if (bytes[0] !== FRAME_TOKEN) throw badFrame('frame', 'not a msgpack array of four')
  if (bytes[1] !== PROTOCOL_VERSION) throw wrongVersion(bytes[1])
  const { end, tagged } = scanValue(bytes, HEADER_START)
  const bodyStart = readTail(bytes, end)
  const [wireEnvelope, name, args, descriptors] = unpackHeader(bytes, end)
  const envelope = envelopeFromWire(wireEnvelope)
  if (typeof name !== 'string') throw badFrame('name', `must be a string, got ${glimpse(name)}`)
  if (!Array.isArray(args)) throw badFrame('args', `must be an array, got ${glimpse(args)}`)
  if (!tagged && bodyStart === bytes.length && isEmpty(descriptors)) return { envelope, name, args }
  const blocks = readBlocks(descriptors, bytes.subarray(bodyStart))
  return { envelope, name, args: new PayloadDecoder(blocks, hooks, shared).decode(args) }
}

/** The scan leaves nothing that msgpackr could refuse; were it to, that is the frame's fault all the same. */
function unpackHeader(bytes: Uint8Array, end: number): readonly unknown[] {
  let header: unknown
  try {
    header = unpack(bytes, HEADER_START, end)
  } catch (cause) {
    throw badFrame('header', 'msgpackr refused it', { cause })
  }
  if (Array.isArray(header) && header.length === HEADER_LENGTH) return header
  throw badFrame('header', `must be an array of ${HEADER_LENGTH}, got ${glimpse(header)}`)
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

function wrongVersion(version: number | undefined): Error {
  const got = version !== undefined && version < 0x80 ? `${version}` : 'no version number'
  const what = `this node speaks ${PROTOCOL_VERSION}, got ${got}`
  return badFrame('version', what, {
    code: 'ERR_PROTOCOL_VERSION',
    data: { spoken: PROTOCOL_VERSION, got },
  })
}

/** Checks padding and body; returns where the body's content starts. It ends where the frame ends. */
function readTail(bytes: Uint8Array, start: number): number {
  if (bytes.length === start + TAIL_BYTES && bytes[start] === BIN8 && bytes[start + 1] === 0) {
    if (bytes[start + 2] === BIN8 && bytes[start + 3] === 0) return bytes.length
  }
  const padding = readBinary(bytes, start, 'padding')
  if (padding.length >= ALIGNMENT) {
    throw badFrame('padding', `must be shorter than ${ALIGNMENT} bytes, got ${padding.length}`)
  }
  const body = readBinary(bytes, padding.start + padding.length, 'body')
  const left = bytes.length - body.start - body.length
  if (left > 0) throw badFrame('frame', `${left} bytes after its end`)
  if (body.length > 0 && body.start % ALIGNMENT !== 0) {
    throw badFrame('padding', `must align the body to ${ALIGNMENT} bytes, which starts at ${body.start}`)
  }
  return body.start
}

function readBinary(bytes: Uint8Array, at: number, field: 'padding' | 'body') {
  const token = bytes[at]
  const width = token === BIN8 ? 1 : token === BIN16 ? 2 : token === BIN32 ? 4 : 0
  if (width === 0 || at + 1 + width > bytes.length) throw badFrame(field, 'must be a whole binary')
  const start = at + 1 + width
  const length = unsigned(bytes, at + 1, width)
  if (length > bytes.length - start) {
    throw badFrame(field, `${length} bytes do not fit in the ${bytes.length - start} left`)
  }
  return { start, length }
}
