// The codec against bare msgpackr packing and unpacking the same value, and the price of a frame that carries tensors.

import { pack, unpack } from 'msgpackr'
import { decodeFrame, encodeFrame, TensorData, wireCounters, type Envelope } from '../../src/wire/index.js'
import { defineBench } from './harness.js'

const FRAMES = 20_000

const MEGABYTE = 1_048_576

/** Both arms of a comparison do what the codec's callers do; the sum keeps the engine from leaving anything out. */
function nsEach(count: number, work: (i: number) => number): number {
  let sum = 0
  const started = performance.now()
  for (let i = 0; i < count; i++) sum += work(i)
  const elapsed = performance.now() - started
  if (!(sum > 0)) throw new Error('nothing was done')
  return (elapsed * 1e6) / count
}

const PUSH: Envelope = {
  kind: 'tell',
  target: '/mnist/ps-0',
  targetIncarnation: 3,
  sender: '/mnist/worker-1',
  sequence: 17,
}

const ASK: Envelope = { ...PUSH, kind: 'ask', correlation: 99, msLeft: 5_000 }

/** Nested objects, numbers of each kind, and text: about 1 KB. */
const REPORT = {
  id: 4711,
  name: 'worker-1',
  labels: ['gpu', 'eu-west', 'spot'],
  rate: 0.25,
  active: true,
  parent: null,
  stats: { rows: 123_456, loss: 0.04381, accuracy: 0.9761, step: 1200, epoch: 3 },
  items: Array.from({ length: 8 }, (_, i) => ({
    key: `item-${i}`,
    value: i * 1.5,
    flag: i % 2 === 0,
    note: `some text of moderate length ${i}`,
  })),
  text: 'x'.repeat(200),
}

/**
 * Nanoseconds to read one of many equal frames. As if they arrived, each lies in memory of its own and is read once:
 * msgpackr keeps a DataView on a buffer that it has seen.
 */
function nsEachRead(bytes: Uint8Array, read: (frame: Buffer) => number): number {
  const arrived = Array.from({ length: FRAMES }, () => {
    const copy = Buffer.allocUnsafeSlow(bytes.length)
    copy.set(bytes)
    return copy
  })
  return nsEach(FRAMES, i => read(arrived[i] as Buffer))
}

/** What a frame says, as one value for msgpackr: `undefined` and the like are not in it. */
const asValue = (envelope: Envelope, name: string, args: readonly unknown[]): unknown => [
  1,
  [Object.values(envelope), name, args, []],
  0,
  0,
]

export default defineBench(
  'wire',
  b => {
    const messages = [
      { size: '1kb', envelope: PUSH, name: 'report', args: [REPORT] },
      { size: 'number', envelope: ASK, name: 'add', args: [5] },
    ]
    for (const { size, envelope, name, args } of messages) {
      const value = asValue(envelope, name, args)
      const frame = encodeFrame(envelope, name, args)
      const bare = pack(value)
      const arm = (what: string, run: () => number): void =>
        b.arm({ case: what, unit: 'ns', better: 'lower', run })
      arm(`encode-${size}`, () => nsEach(FRAMES, () => encodeFrame(envelope, name, args).length))
      arm(`encode-${size}-msgpackr`, () => nsEach(FRAMES, () => pack(value).length))
      arm(`decode-${size}`, () => nsEachRead(frame, bytes => decodeFrame(bytes).args.length))
      arm(`decode-${size}-msgpackr`, () => nsEachRead(bare, bytes => (unpack(bytes) as unknown[]).length))
    }
    b.bar({ case: 'encode-1kb', against: 'encode-1kb-msgpackr', atMost: 1.3 })
    b.bar({ case: 'decode-1kb', against: 'decode-1kb-msgpackr', atMost: 1.3 })

    for (const megabytes of [1, 4, 16]) {
      const size = `${megabytes}mb`
      const weights = TensorData.of('float32', new Float32Array((megabytes * MEGABYTE) / 4).fill(0.5))
      const frame = encodeFrame(PUSH, 'push', [weights])
      const encodings = 64 / megabytes
      b.arm({
        case: `encode-${size}-us`,
        unit: 'us',
        better: 'lower',
        run: () => nsEach(encodings, () => encodeFrame(PUSH, 'push', [weights]).length) / 1e3,
      })
      b.arm({
        case: `encode-${size}-us-memcpy`,
        unit: 'us',
        better: 'lower',
        run: () =>
          nsEach(encodings, () => {
            const copy = Buffer.allocUnsafeSlow(frame.length)
            copy.set(weights.bytes)
            return copy.length
          }) / 1e3,
      })
      b.arm({
        case: `decode-${size}-us`,
        unit: 'us',
        better: 'lower',
        run: () => nsEach(FRAMES, () => decodeFrame(frame).args.length) / 1e3,
      })
      b.arm({
        case: `decode-${size}-copied`,
        unit: 'bytes a frame',
        better: 'lower',
        run: () => {
          const before = wireCounters().copiedBytes
          decodeFrame(frame)
          return wireCounters().copiedBytes - before
        },
      })
      b.bar({ case: `decode-${size}-copied`, atMost: 0 })
    }
  },
  { packages: ['msgpackr'] },
)
