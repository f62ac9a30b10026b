// Tensors: what they hold is checked, who owns the memory is said, and decoding does not copy.

import fc from 'fast-check'
import t from 'tap'
import {
  decodeFrame,
  DTYPES,
  encodeFrame,
  TensorData,
  wireCounters,
  type DType,
  type Envelope,
} from '../../src/wire/index.js'

const PUSH: Envelope = { kind: 'tell', target: '/mnist/ps-0', sequence: 1 }

/** Element sizes as the formats define them; a string has none. */
const ELEMENT_BYTES: Record<DType, number> = {
  float32: 4,
  int32: 4,
  bool: 1,
  complex64: 8,
  string: 0,
  float16: 2,
  bfloat16: 2,
  int8: 1,
  uint8: 1,
  int64: 8,
  float64: 8,
}

function some(dtype: DType, size: number): TensorData {
  if (dtype === 'string') return TensorData.ofStrings(Array.from({ length: size }, (_, i) => 'é'.repeat(i)))
  const bytes = Uint8Array.from({ length: size * ELEMENT_BYTES[dtype] }, (_, i) => i)
  return new TensorData(dtype, [size], bytes, `${dtype}/kernel`)
}

const same = (got: TensorData, expected: TensorData): boolean =>
  got.dtype === expected.dtype &&
  got.name === expected.name &&
  got.shape.join() === expected.shape.join() &&
  Buffer.compare(got.bytes, expected.bytes) === 0

/** The bytes at an address that is `misalignment` past a multiple of 8. */
function placed(bytes: Uint8Array, misalignment: number): Uint8Array {
  const memory = new Uint8Array(bytes.length + 16)
  memory.set(bytes, misalignment)
  return memory.subarray(misalignment, misalignment + bytes.length)
}

void t.test('every dtype arrives with dtype, shape, name and bytes', async t => {
  for (const dtype of DTYPES) {
    for (const size of [0, 1, 3]) {
      const tensor = some(dtype, size)
      const [got] = decodeFrame(encodeFrame(PUSH, 'push', [tensor])).args as [TensorData]
      t.ok(got instanceof TensorData)
      t.ok(same(got, tensor), `${dtype} [${size}]`)
      t.equal(got.view().byteLength, tensor.bytes.byteLength)
    }
  }
})

void t.test('decoding an aligned frame copies no byte of a tensor or binary', async t => {
  const tensors = DTYPES.map(dtype => some(dtype, 5))
  const frame = placed(encodeFrame(PUSH, 'push', [tensors, new Float64Array(3), Buffer.from('hello')]), 0)
  const before = wireCounters()
  const [got, doubles, buffer] = decodeFrame(frame).args as [TensorData[], Float64Array, Buffer]
  const after = wireCounters()
  t.equal(after.copiedBytes - before.copiedBytes, 0)
  const sizes = [...tensors.map(tensor => tensor.bytes.byteLength), 24, 5]
  t.equal(
    after.viewedBytes - before.viewedBytes,
    sizes.reduce((sum, size) => sum + size),
  )
  for (const view of [...got.map(tensor => tensor.bytes), doubles, buffer]) t.equal(view.buffer, frame.buffer)
})

void t.test(
  'wherever a frame lies in memory, it decodes to the same; what cannot be a view is copied',
  async t => {
    const tensors = DTYPES.map(dtype => some(dtype, 5))
    const bytes = encodeFrame(PUSH, 'push', tensors)
    for (let misalignment = 0; misalignment < 8; misalignment++) {
      const before = wireCounters().copiedBytes
      const got = decodeFrame(placed(bytes, misalignment)).args as TensorData[]
      const copied = wireCounters().copiedBytes - before
      t.ok(got.every((tensor, i) => same(tensor, tensors[i] as TensorData)))
      const expected = tensors.filter(tensor => misalignment % tensor.view().BYTES_PER_ELEMENT !== 0)
      t.equal(
        copied,
        expected.reduce((sum, tensor) => sum + tensor.bytes.byteLength, 0),
        `at ${misalignment}`,
      )
    }
  },
)

void t.test('every tensor starts at a multiple of 8 from the start of the frame', async t => {
  const sizes = fc.array(fc.nat(33), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(sizes, fc.string({ maxLength: 20 }), (sizes, name) => {
      const blocks = sizes.map(size => new Uint8Array(size).fill(1))
      const frame = placed(encodeFrame(PUSH, name, blocks), 0)
      for (const block of decodeFrame(frame).args as Uint8Array[]) {
        if ((block.byteOffset - frame.byteOffset) % 8 !== 0) throw new Error(`at ${block.byteOffset}`)
      }
    }),
  )
  t.pass()
})

void t.test('a frame with a body has its memory to itself, so that it can be transferred', async t => {
  const frame = encodeFrame(PUSH, 'push', [new Float32Array(3)])
  t.equal(frame.buffer.byteLength, frame.byteLength)
})

void t.test('parts that do not make a tensor are refused, and the field is named', async t => {
  const cases: [dtype: string, shape: unknown, bytes: Uint8Array, field: string][] = [
    ['float128', [1], new Uint8Array(16), 'dtype'],
    ['toString', [1], new Uint8Array(16), 'dtype'],
    ['float32', [2], new Uint8Array(7), 'byteLength'],
    ['float32', [-1], new Uint8Array(4), 'shape'],
    ['float32', [1.5], new Uint8Array(6), 'shape'],
    ['float32', [2 ** 32, 2 ** 32], new Uint8Array(0), 'shape'],
    ['float32', [2 ** 53], new Uint8Array(0), 'shape'],
    ['float32', 'x', new Uint8Array(0), 'shape'],
    ['float32', Array.from({ length: 33 }, () => 1), new Uint8Array(4), 'shape'],
    ['float64', [1], placed(new Uint8Array(8), 4), 'offset'],
    ['string', [1], new Uint8Array([5, 0, 0, 0, 1]), 'data'],
    ['string', [1], new Uint8Array([0, 0, 0, 0, 1]), 'data'],
    ['string', [2], new Uint8Array([0, 0, 0, 0, 1]), 'data'],
    ['string', [2], new Uint8Array([1, 0, 0, 0, 1, 0, 0, 0]), 'data'],
  ]
  for (const [dtype, shape, bytes, field] of cases) {
    t.throws(
      () => new TensorData(dtype as DType, shape as number[], bytes),
      { code: 'ERR_PAYLOAD', data: { field } },
      `${dtype}: ${field}`,
    )
  }
})

void t.test('a tensor is given away by move and kept by copy', async t => {
  const original = TensorData.of('float32', new Float32Array([1, 2, 3, 4]), [2, 2])
  const copy = original.copy()
  const taken = original.move()
  t.ok(original.moved)
  for (const use of [
    () => original.bytes,
    () => original.view(),
    () => original.copy(),
    () => original.move(),
  ]) {
    t.throws(use, { code: 'ERR_PAYLOAD', message: /float32 \[2, 2\] was used after move/ })
  }
  taken.view()[0] = 9
  t.strictSame([...copy.view()], [1, 2, 3, 4])
  t.strictSame([...taken.view()], [9, 2, 3, 4])
  t.strictSame([taken.size, taken.shape], [4, [2, 2]])
})

void t.test('a tensor shares memory unless it says copy', async t => {
  const memory = new Float32Array(8)
  const tensor = TensorData.of('float32', memory.subarray(2, 4))
  memory[2] = 7
  t.strictSame([...tensor.view()], [7, 0])
  t.equal(tensor.view().byteOffset, 8)
  const pooled = TensorData.copyOf('float64', [1], placed(new Uint8Array(8).fill(1), 3))
  t.equal(pooled.bytes.byteOffset, 0)
  t.equal(TensorData.of('complex64', new Float32Array(4)).size, 2)
  t.equal(new TensorData('int8', [], new Uint8Array(1)).size, 1)
})

void t.test('a tensor of strings gives them back, whatever they hold', async t => {
  const words = ['', 'a', 'é', '\uFEFFmark', '💾', 'x'.repeat(70_000)]
  const tensor = TensorData.ofStrings(words, [2, 3])
  t.strictSame(tensor.strings(), words)
  t.strictSame(tensor.shape, [2, 3])
  const [got] = decodeFrame(encodeFrame(PUSH, 'push', [tensor])).args as [TensorData<'string'>]
  t.strictSame(got.strings(), words)
})

void t.test('a frame in memory shared between threads can be read', async t => {
  const frame = encodeFrame(PUSH, 'push', [{ rank: 1, name: 'worker' }, new Float32Array([1, 2])])
  const shared = new Uint8Array(new SharedArrayBuffer(frame.length))
  shared.set(frame)
  const [head, values] = decodeFrame(shared).args as [unknown, Float32Array]
  t.strictSame(head, { rank: 1, name: 'worker' })
  t.strictSame([...values], [1, 2])
  const large = encodeFrame(PUSH, 'push', [
    { text: 'x'.repeat(20_000), list: ['é', 'longer than sixteen bytes'] },
  ])
  const sharedLarge = new Uint8Array(new SharedArrayBuffer(large.length))
  sharedLarge.set(large)
  t.strictSame(decodeFrame(sharedLarge).args, decodeFrame(large).args)
})
