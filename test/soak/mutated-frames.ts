// Frames as a fault or an enemy would make them, each a function of the random numbers it is given.

import { Packr } from 'msgpackr'
import type { Random } from '../../src/determinism/index.js'
import { encodeFrame, TensorData, type Envelope, type ValueHooks } from '../../src/wire/index.js'

export class Ref {
  constructor(readonly path: string) {}
}

export const hooks: ValueHooks = {
  encode: value => (value instanceof Ref ? ['ref', value.path] : undefined),
  decode: (tag, data) => {
    if (tag !== 'ref') return undefined
    if (typeof data !== 'string') throw new Error('a ref is a path')
    return new Ref(data)
  },
}

const FULL: Envelope = {
  kind: 'ask',
  target: '/mnist/ps-0',
  targetIncarnation: 3,
  sender: '/mnist/worker-1',
  sequence: 70_000,
  stream: 2 ** 40,
  correlation: 12,
  msLeft: 4_999.5,
  chain: [['/mnist/worker-0', 1, 900]],
  trace: { parent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', state: 'vendor=1' },
}

const encode = (envelope: Envelope, name: string, args: unknown[]): Buffer =>
  Buffer.from(encodeFrame(envelope, name, args, hooks))

/** Together they use every part of the format. */
const SEEDS: readonly Buffer[] = [
  encode({ kind: 'tell', target: '/counter' }, 'add', [5]),
  encode(FULL, 'push', [{ list: [1, -2.5, 'text', null, true, 10n ** 18n], nested: { deep: [[[{}]]] } }]),
  encode(FULL, 'special', [
    new Map<unknown, unknown>([[1, new Set(['a', new Date(0)])]]),
    JSON.parse('{"__proto__": 1, "$tensor": 0}'),
    [undefined, -0, 2n ** 80n, '\uD800', new Ref('/a/b'), { $map: 1 }],
    new Error('outer', { cause: new TypeError('inner') }),
  ]),
  encode(FULL, 'tensors', [
    TensorData.of('float32', new Float32Array(12), [3, 4]),
    [new TensorData('int64', [2], new Uint8Array(16), 'step'), TensorData.ofStrings(['one', 'two'])],
    new Uint8Array(5),
    Buffer.from('buffer'),
    new Float64Array(3),
    new ArrayBuffer(4),
  ]),
  encode(FULL, 'long', [
    { text: 'x'.repeat(300), ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key ${i}`, i])) },
  ]),
]

const packr = new Packr({ useRecords: false })

/** Tokens and lengths at which readers of msgpack have gone wrong. */
const EVIL_BYTES = [
  0x00, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xcb, 0xcf, 0xd3,
  0xd4, 0xd5, 0xd6, 0xd8, 0xd9, 0xdb, 0xdd, 0xdf, 0xff, 0x42, 0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78,
]

const EVIL_RUNS = [
  'd4720093a161a162a163010203', // a record definition
  'd57200010293a161a162',
  'c70178d4',
  'd4730093010203',
  'd47800c392a178a167',
  'd4650093a5457272', // an Error
  'c7097400ffffffffffffff7f', // a typed array
  'd66900000001',
  'd67000000001',
  'ddffffffff',
  'dfffffffff',
  'dbffffffff',
  'c6ffffffff',
  'dc7fff',
  'de7fff',
  '81a95f5f70726f746f5f5f81a861a16201', // __proto__
  'cbfff0000000000001',
  'cfffffffffffffffff',
].map(hex => Buffer.from(hex, 'hex'))

/** Parts of a header that the guards after the scan must refuse, or take. */
const EVIL_VALUES: readonly unknown[] = [
  null,
  '',
  -1,
  -0,
  0.5,
  Infinity,
  Number.NaN,
  2 ** 53,
  2n ** 63n,
  'float32',
  'constructor',
  '__proto__',
  [],
  {},
  [0],
  [4294967295, 4294967295],
  [0, 9007199254740991],
  { $tensor: 0 },
  { $tensor: 1 },
  { $Uint8Array: 0 },
  { $ArrayBuffer: 3 },
  { $BigInt64Array: 4 },
  { $map: [1] },
  { $map: [[], {}] },
  { $object: ['__proto__', { polluted: true }] },
  { $object: [1, 2] },
  { $object: 'x' },
  { $bigint: 'zz' },
  { $bigint: '-f' },
  { $utf16: [70000] },
  { $utf16: [55296] },
  { $number: 1 },
  { $date: 1e300 },
  { $date: 'x' },
  { $error: { name: 1 } },
  { $error: { name: 'Rejected', message: '', data: { $undefined: null } } },
  { $error: { name: 'A', message: 'b', code: 'ERR_INTERNAL', cause: { name: 'c', message: 'd' } } },
  { $undefined: 1 },
  { $set: { a: 1 } },
  { $ref: 5 },
  { $ref: '/x' },
  { $constructor: 1 },
  { $: 1 },
  'float64',
  ['float32', [1], 0, 4],
  ['uint8', [1], 8, 1, 'name'],
]

const pick = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)] as T

/** One of the seeds, damaged in its bytes. */
function mutateBytes(random: Random): Buffer {
  let bytes: Buffer = Buffer.from(pick(random, SEEDS))
  for (let edits = 1 + random.below(3); edits > 0; edits--) {
    const at = random.below(bytes.length + 1)
    const to = Math.min(bytes.length, at + random.below(12))
    const splice = (middle: Uint8Array, end = at): Buffer =>
      Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(end)])
    switch (random.below(8)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
        break
      case 1:
        if (at < bytes.length) bytes[at] = pick(random, EVIL_BYTES)
        break
      case 2:
        bytes = splice(Buffer.of(pick(random, EVIL_BYTES)))
        break
      case 3:
        bytes = splice(Buffer.alloc(0), to)
        break
      case 4:
        bytes = splice(bytes.subarray(at, to))
        break
      case 5:
        bytes = splice(pick(random, EVIL_RUNS), random.below(2) === 0 ? at : to)
        break
      case 6:
        bytes = splice(Buffer.alloc(random.below(300), pick(random, [0x81, 0x91, 0xa1, 0xdd])))
        break
      default: {
        const other = pick(random, SEEDS)
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length))])
      }
    }
  }
  return bytes.subarray(0, random.below(10) === 0 ? random.below(bytes.length + 1) : undefined)
}

/** One of the seeds, well formed as msgpack, with parts of its header exchanged. */
function mutateHeader(random: Random): Buffer {
  const [version, header, , body] = packr.unpack(pick(random, SEEDS)) as [number, unknown, Buffer, Buffer]
  const changed = exchange(random, header, 0)
  const head = packr.pack([version, changed]).subarray(1)
  const unpadded = 1 + head.length + 2 + 5
  const padding = Buffer.alloc((8 - (unpadded % 8)) % 8)
  const size = Buffer.alloc(4)
  size.writeUInt32BE(body.length)
  const parts = [Buffer.of(0x94), head, Buffer.of(0xc4, padding.length), padding, Buffer.of(0xc6), size, body]
  return Buffer.concat(parts)
}

function exchange(random: Random, value: unknown, depth: number): unknown {
  if (depth > 0 && random.below(12) === 0) return pick(random, EVIL_VALUES)
  if (Array.isArray(value)) {
    const list = value.map(part => exchange(random, part, depth + 1))
    if (random.below(15) === 0)
      list.splice(random.below(list.length + 1), random.below(2), pick(random, EVIL_VALUES))
    return list
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, exchange(random, part, depth + 1)]),
  )
}

/** A third is damaged in what it says, the rest in its bytes. */
export function mutatedFrame(random: Random): Buffer {
  return random.below(3) === 0 ? mutateHeader(random) : mutateBytes(random)
}
