import * as tf from '@tensorflow/tfjs'
import t from 'tap'
import {
  fromTensorData,
  readInto,
  selectBackend,
  toTensorData,
  type BackendName,
} from '../../src/tensor/index.js'
import { TensorData } from '../../src/wire/index.js'

for (const force of ['wasm', 'js'] as BackendName[]) {
  t.test(`${force}: tensors go out and in unchanged, and share memory with nothing`, async t => {
    await selectBackend({ force })
    const start = tf.memory().numTensors

    const values = Float32Array.of(1.5, -0, 3e38, Number.NaN, -Infinity, 1e-45)
    const data = TensorData.of('float32', values, [2, 3])
    const tensor = fromTensorData(tf, data)
    values.fill(7)
    const out = toTensorData(tensor)
    t.same(out.shape, [2, 3])
    t.same(Array.from((out as TensorData<'float32'>).view()), [
      1.5,
      -0,
      Math.fround(3e38),
      NaN,
      -Infinity,
      2 ** -149,
    ])
    ;(out as TensorData<'float32'>).view().fill(9)
    t.equal(tensor.dataSync()[0], 1.5, 'what came out is a copy too')
    tensor.dispose()

    const int = fromTensorData(tf, TensorData.of('int32', Int32Array.of(1, -2, 2 ** 31 - 1)))
    t.match(toTensorData(int), { dtype: 'int32', shape: [3] })
    t.same(Array.from((toTensorData(int) as TensorData<'int32'>).view()), [1, -2, 2 ** 31 - 1])
    const bool = fromTensorData(tf, TensorData.of('bool', Uint8Array.of(1, 0), [2, 1]))
    t.equal(bool.dtype, 'bool')
    t.same(Array.from((toTensorData(bool) as TensorData<'bool'>).view()), [1, 0])
    const string = fromTensorData(tf, TensorData.ofStrings(['grün', ''], [1, 2]))
    t.same((toTensorData(string) as TensorData<'string'>).strings(), ['grün', ''])
    const scalar = fromTensorData(tf, TensorData.of('float32', Float32Array.of(4), []))
    t.same([scalar.shape, scalar.dataSync()[0]], [[], 4])
    const empty = fromTensorData(tf, TensorData.of('float32', new Float32Array(0), [0, 3]))
    t.same(toTensorData(empty).shape, [0, 3])
    tf.dispose([int, bool, string, scalar, empty])
    t.equal(tf.memory().numTensors, start, 'nothing is left behind')
  })

  t.test(`${force}: readInto writes to shared memory what dataSync gives`, async t => {
    await selectBackend({ force })
    const start = tf.memory().numTensors
    const shared = new Float32Array(new SharedArrayBuffer(16)).fill(-1)
    const tensor = tf.tensor1d([1, 2, 3]).square()
    readInto(tf, tensor, shared)
    t.same(Array.from(shared), [1, 4, 9, -1])
    readInto(tf, tf.zeros([0]), shared)
    t.same(Array.from(shared), [1, 4, 9, -1])
    t.throws(() => readInto(tf, tensor, new Float32Array(2)), { message: /needs 3 numbers; got room for 2/ })
    t.throws(() => readInto(tf, tf.tensor1d([1], 'int32'), shared), { code: 'ERR_TENSOR_DTYPE' })
    tf.disposeVariables()
    t.ok(tf.memory().numTensors - start <= 4)
  })
}

t.test('narrow dtypes of files are widened exactly; wide ones are refused', async t => {
  await selectBackend({ force: 'js' })
  const wide = (data: TensorData): [string, number[]] => {
    const tensor = fromTensorData(tf, data)
    return [tensor.dtype, Array.from(tensor.dataSync())]
  }
  t.same(wide(TensorData.of('int8', Int8Array.of(-128, 127))), ['int32', [-128, 127]])
  t.same(wide(TensorData.of('uint8', Uint8Array.of(0, 255))), ['int32', [0, 255]])
  t.same(wide(TensorData.of('bfloat16', Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x4049))), [
    'float32',
    [1, -2, Infinity, 3.140625],
  ])
  const halves = Uint16Array.of(
    0x3c00,
    0xc000,
    0x7bff,
    0x0001,
    0x03ff,
    0x0400,
    0x7c00,
    0xfc00,
    0x8000,
    0x3555,
  )
  t.same(wide(TensorData.of('float16', halves)), [
    'float32',
    [1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, Infinity, -Infinity, -0, 0.333251953125],
  ])
  t.ok(Number.isNaN(wide(TensorData.of('float16', Uint16Array.of(0x7e00)))[1][0]))
  t.throws(() => fromTensorData(tf, TensorData.of('float64', Float64Array.of(1))), {
    code: 'ERR_TENSOR_DTYPE',
    message: /^tfjs has no dtype float64/,
  })
  t.throws(() => fromTensorData(tf, TensorData.of('int64', BigInt64Array.of(1n))), {
    code: 'ERR_TENSOR_DTYPE',
  })
  const complex = TensorData.of('complex64', Float32Array.of(1, 2, 3, 4))
  const back = toTensorData(fromTensorData(tf, complex)) as TensorData<'complex64'>
  t.same(back.shape, [2])
  t.same(Array.from(back.view()), [1, 2, 3, 4])
})
