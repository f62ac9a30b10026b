import fc from 'fast-check'
import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { kernels } from '../../src/training/kernels/choose-kernels.js'
import {
  KERNEL_SCRATCH_BYTES,
  NORM_BLOCK_ELEMENTS,
  type Kernels,
} from '../../src/training/kernels/kernels.js'
import { PlainKernels } from '../../src/training/kernels/plain-kernels.js'
import { PLAIN_UPDATES } from '../../src/training/kernels/plain-updates.js'
import { SIMD_KERNELS } from '../../src/training/kernels/simd-binary.js'
import { CHUNK_ELEMENTS, reduceAndUpdate, scaleAndUpdate } from '../../src/training/kernels/slice-update.js'
import {
  compileWasm,
  MAX_PAGES,
  PAGE_BYTES,
  sharedMemory,
  type SharedMemory,
} from '../../src/training/kernels/web-assembly.js'
import type { OptimizerOptions } from '../../src/training/optimizer-options.js'
import { optimizerSpec, slotsOf, updateStep, type UpdateStep } from '../../src/training/optimizer.js'
import type { UpdateKernel } from '../../src/training/update-rule.js'
import { compileKernels } from '../helpers/build-kernels.js'

const ROOT = resolve(import.meta.dirname, '../..')
const execNode = promisify(execFile)

const memory = sharedMemory(64)
const plain = new PlainKernels(memory, 0)
const simd = kernels(memory, 0)

/** Ten arrays lie behind the scratch, each with room for this many elements. */
const ROOM_ELEMENTS = 20_000
const ARRAYS = 10
const ARENA = new Uint32Array(memory.buffer, KERNEL_SCRATCH_BYTES, ROOM_ELEMENTS * ARRAYS)

/** What rounding and comparing go wrong on: zeros, denormals, the edges of the range, infinities, NaNs. */
const EDGES = Uint32Array.of(
  ...[0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff],
  ...[0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x3f800000, 0xbf800000],
)

/** A float32's bits: an edge, any bits at all, or an ordinary number. */
function anyBits(random: () => number): number {
  const kind = random() % 4
  if (kind === 0) return EDGES[random() % EDGES.length]!
  if (kind === 1) return random()
  return ((random() & 0x807fffff) | ((0x3a + (random() % 8)) << 24)) >>> 0
}

/** xorshift: the same elements for the same seed, at any length. */
function generator(seed: number): () => number {
  let state = seed | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

/** Where the k-th array begins: at any element, hardly ever at a vector's border. */
function arrayAt(k: number, skew: number): number {
  return KERNEL_SCRATCH_BYTES + (k * ROOM_ELEMENTS + ((skew >> (2 * k)) & 3)) * 4
}

/** All arrays after `work` on arrays filled from the seed; every NaN as the same one. */
function after(seed: number, elements: number, work: () => void): Uint32Array {
  const random = generator(seed)
  for (let array = 0; array < ARRAYS; array++) {
    // some elements behind the last: nobody may touch them
    const begin = array * ROOM_ELEMENTS
    for (let i = begin; i < begin + elements + 12; i++) ARENA[i] = anyBits(random)
  }
  work()
  const values = new Float32Array(memory.buffer, KERNEL_SCRATCH_BYTES, ARENA.length)
  const bits = new Uint32Array(ARRAYS * (elements + 12))
  for (let array = 0; array < ARRAYS; array++) {
    for (let i = 0; i < elements + 12; i++) {
      const from = array * ROOM_ELEMENTS + i
      bits[array * (elements + 12) + i] = Number.isNaN(values[from]) ? 0x7fc00000 : ARENA[from]!
    }
  }
  return bits
}

/** Fails unless the work gives the same bits by both kernels. */
function sameBits(seed: number, elements: number, work: (k: Kernels) => void): void {
  const expected = after(seed, elements, () => work(plain))
  const got = after(seed, elements, () => work(simd))
  const at = expected.findIndex((bits, i) => bits !== got[i])
  if (at === -1) return
  const size = elements + 12
  const hex = (bits: number): string => `0x${bits.toString(16)}`
  throw new Error(
    `array ${Math.floor(at / size)}, element ${at % size}: simd ${hex(got[at]!)}, plain ${hex(expected[at]!)}`,
  )
}

const seeds = fc.integer({ min: 1 })
const skews = fc.nat(2 ** 20 - 1)
const lengths = fc.oneof({ weight: 4, arbitrary: fc.nat(40) }, fc.nat(1100))
const scalar = fc.float({ noDefaultInfinity: true })
const arrays = (skew: number): number[] => Array.from({ length: ARRAYS }, (_, k) => arrayAt(k, skew))

t.test('kernels: this engine runs the SIMD ones', async t => {
  t.equal(simd.name, 'simd')
  t.equal(simd.memory, memory)
})

t.test('kernels: where the engine cannot run the module there is none', async t => {
  t.equal(compileWasm(Uint8Array.of(0, 97, 115, 109, 9, 9, 9, 9)), undefined)
})

/** Of test/fixtures/kernels/update.ts, found by Node 20, 22 and 24: another hash means other weights for everyone. */
const KNOWN_SHA256 = '1bc797e210c7724d568215cd9b372d0dc6e675c0283deefee6adef0486224ebf'

t.test('kernels: the same weights on every engine; one without SIMD takes the plain kernels', async t => {
  const run = async (...flags: string[]): Promise<unknown> => {
    const script = join(ROOT, 'test/fixtures/kernels/update.ts')
    const { NODE_OPTIONS: _, ...env } = process.env
    const { stdout } = await execNode(process.execPath, [...flags, '--import=tsx', script], { env })
    return JSON.parse(stdout)
  }
  t.strictSame(await run(), { name: 'simd', sha256: KNOWN_SHA256 })
  // only x64 has a switch that takes SIMD away
  if (process.arch !== 'x64') return
  t.strictSame(await run('--no-enable-sse4-1'), { name: 'plain', sha256: KNOWN_SHA256 })
})

t.test('kernels: the bytes in the source are those that assembly/ compiles to', async t => {
  const bytes = await compileKernels(ROOT)
  t.ok(Buffer.from(SIMD_KERNELS, 'base64').equals(bytes), 'run npm run build:kernels')
})

t.test('kernels: every update has the same bits in SIMD as in plain TypeScript', async t => {
  for (const kernel of Object.keys(PLAIN_UPDATES) as UpdateKernel[]) {
    fc.assert(
      fc.property(
        seeds,
        lengths,
        skews,
        fc.array(scalar, { minLength: 5, maxLength: 5 }),
        fc.boolean(),
        (seed, length, skew, scalars, inPlace) => {
          const [from, to, gradient, ...slots] = arrays(skew) as [number, number, number, ...number[]]
          const elements = { from, to: inPlace ? from : to, gradient, slots: slots.slice(0, 3), length }
          sameBits(seed, length, k => k.update({ kernel, scalars }, elements))
        },
      ),
      { numRuns: 60 },
    )
    t.pass(kernel)
  }
})

t.test('kernels: scaling, clipping and decay have the same bits in SIMD', async t => {
  fc.assert(
    fc.property(seeds, lengths, skews, scalar, scalar, (seed, length, skew, a, b) => {
      const [values, out] = arrays(skew) as [number, number]
      sameBits(seed, length, k => k.scale(out, values, a, length))
      sameBits(seed, length, k => k.clip(out, values, Math.abs(a), length))
      sameBits(seed, length, k => k.decay(out, values, a, b, length))
      sameBits(seed, length, k => k.decay(out, out, a, b, length))
    }),
  )
  t.pass('for all that were tried')
})

t.test('kernels: a reduction has the same bits in SIMD, for any ranks and rows', async t => {
  const rows = fc.array(fc.oneof(fc.nat(4), fc.constant(0)), { minLength: 1, maxLength: ARRAYS - 1 })
  const reduced = fc.oneof(
    lengths,
    fc.integer({ min: 2040, max: 2060 }),
    fc.integer({ min: 4090, max: 4100 }),
  )
  fc.assert(
    fc.property(seeds, reduced, skews, rows, (seed, length, skew, weights) => {
      const [out, ...inputs] = arrays(skew) as [number, ...number[]]
      let wrote: boolean | undefined
      sameBits(seed, length, k => {
        wrote = k.reduce(out, inputs.slice(0, weights.length), weights, length)
      })
      const weighted = weights.some(weight => weight > 0)
      if (wrote !== weighted) throw new Error(`${weights.join()}: ${String(wrote)}`)
    }),
    { numRuns: 150 },
  )
  fc.assert(
    fc.property(seeds, fc.array(fc.nat(3), { minLength: 10, maxLength: 40 }), (seed, weights) => {
      const [out, ...inputs] = arrays(seed) as [number, ...number[]]
      const all = weights.map((_, rank) => inputs[rank % inputs.length]!)
      sameBits(seed, 300, k => void k.reduce(out, all, weights, 300))
    }),
    { numRuns: 30 },
  )
  t.pass('for all that were tried')
})

t.test('kernels: sums of squares have the same bits in SIMD, and are right', async t => {
  const [out, values] = [KERNEL_SCRATCH_BYTES, arrayAt(2, 0)]
  fc.assert(
    fc.property(seeds, fc.oneof(fc.nat(20), fc.nat(1100)), fc.nat(3), (seed, length, skew) => {
      const all: Float64Array[] = []
      for (const k of [plain, simd]) {
        after(seed, 1100, () => k.sumSquares(out, values + skew * 4, length))
        all.push(new Float64Array(memory.buffer, out, 550).slice())
      }
      const [expected, got] = all as [Float64Array, Float64Array]
      const at = expected.findIndex((sum, i) => !Object.is(sum, got[i]))
      if (at !== -1) throw new Error(`sum ${at}: simd ${got[at]!}, plain ${expected[at]!}`)
    }),
  )
  const numbers = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i) * 10 ** (i % 5))
  new Float32Array(memory.buffer, values, numbers.length).set(numbers)
  simd.sumSquares(out, values, numbers.length)
  const sums = new Float64Array(memory.buffer, out, Math.ceil(numbers.length / NORM_BLOCK_ELEMENTS))
  for (const [block, sum] of sums.entries()) {
    const part = numbers.subarray(block * NORM_BLOCK_ELEMENTS, (block + 1) * NORM_BLOCK_ELEMENTS)
    const expected = part.reduce((total, value) => total + value * value, 0)
    t.ok(Math.abs(sum - expected) <= 1e-13 * expected, `block ${block}: ${sum}, not ${expected}`)
  }
})

/** What a slice goes through, written out over whole arrays. */
function inSteps(
  k: Kernels,
  step: UpdateStep,
  reduced: number,
  slice: { from: number; to: number; slots: number[]; length: number },
): void {
  const { length, to, slots } = slice
  let { from } = slice
  if (step.clipValue !== undefined) k.clip(reduced, reduced, step.clipValue, length)
  if (step.weightDecay > 0) {
    k.decay(to, from, step.weightDecay, step.learningRate, length)
    from = to
  }
  k.update(step, { from, to, gradient: reduced, slots, length })
}

const CHOICES: readonly [string, OptimizerOptions][] = [
  ['sgd', { clipValue: 0.5 }],
  ['momentum', { weightDecay: 0.1 }],
  ['adagrad', {}],
  ['adam', { clipValue: 0.5, weightDecay: 0.1 }],
  ['adamw', { amsgrad: true }],
  ['ftrl', { l1: 0.1 }],
]

t.test('kernels: one pass over a slice does what its parts do one after the other', async t => {
  const around = fc.oneof(
    lengths,
    fc.integer({ min: -9, max: 9 }).map(more => CHUNK_ELEMENTS + more),
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...CHOICES),
      seeds,
      around,
      skews,
      fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
      ([name, options], seed, length, skew, weights) => {
        const step = updateStep(optimizerSpec('o', name, options), 3)
        const count = slotsOf(optimizerSpec('o', name, options)).length
        const [from, to, reduced, ...rest] = arrays(skew) as [number, number, number, ...number[]]
        const slice = { from, to, slots: rest.slice(0, count), length }
        const inputs = rest.slice(count, count + weights.length)
        const pushes = { inputs, weights }
        // `reduced` is written by the parts alone, so it is left out of what is compared.
        const without = (bits: Uint32Array): Uint32Array => {
          bits.fill(0, 2 * (length + 12), 3 * (length + 12))
          return bits
        }
        const expected = after(seed, length, () => {
          if (plain.reduce(reduced, inputs, weights, length)) inSteps(plain, step, reduced, slice)
        })
        const got = after(seed, length, () => void reduceAndUpdate(simd, step, pushes, slice))
        if (!Buffer.from(without(got).buffer).equals(Buffer.from(without(expected).buffer))) {
          throw new Error('differs')
        }
      },
    ),
    { numRuns: 100 },
  )
  t.pass('for all that were tried')
})

t.test('kernels: an update by a norm is an update of the scaled gradient, which stays as it was', async t => {
  const step = updateStep(optimizerSpec('o', 'momentum', { weightDecay: 0.1 }), 1)
  const [from, to, reduced, slot, gradient] = arrays(7) as [number, number, number, number, number]
  for (const factor of [1, 0.3, Number.NaN]) {
    const length = CHUNK_ELEMENTS + 3
    const slice = { from, to, slots: [slot], length }
    const expected = after(5, length, () => {
      plain.scale(reduced, gradient, factor, length)
      inSteps(plain, step, reduced, slice)
      // the same in both: what is compared is the rest
      plain.scale(reduced, gradient, 1, length)
    })
    const got = after(5, length, () => {
      scaleAndUpdate(simd, step, gradient, factor, slice)
      plain.scale(reduced, gradient, 1, length)
    })
    t.ok(Buffer.from(got.buffer).equals(Buffer.from(expected.buffer)), `factor ${factor}`)
  }
})

t.test('kernels: they go on over a memory that has grown', async t => {
  const small = sharedMemory(5, 8)
  const end = small.buffer.byteLength
  for (const k of [kernels(small, 0), new PlainKernels(small, 0)]) {
    small.grow(1)
    const values = new Float32Array(small.buffer, end, 5)
    values.set([1, 2, 3, 4, 5])
    k.scale(end + 64, end, 2, 5)
    t.strictSame([...new Float32Array(small.buffer, end + 64, 5)], [2, 4, 6, 8, 10], k.name)
  }
})

/** All that 32-bit offsets reach; only what is touched costs anything, but not every machine has the addresses. */
function wholeMemory(): SharedMemory | undefined {
  try {
    return sharedMemory(MAX_PAGES)
  } catch {
    return undefined
  }
}

const whole = wholeMemory()
const noRoom = whole === undefined ? 'no 4 GiB of addresses' : false

t.test('kernels: offsets reach to the very end of 4 GiB', { skip: noRoom }, async t => {
  if (whole === undefined) return
  const length = NORM_BLOCK_ELEMENTS + 3
  const end = MAX_PAGES * PAGE_BYTES
  const [values, out] = [end - length * 4, 2 ** 31 + 2 ** 30]
  for (const k of [kernels(whole, 0), new PlainKernels(whole, 0)]) {
    new Float32Array(whole.buffer, values, length).fill(3)
    k.sumSquares(out, values, length)
    t.strictSame([...new Float64Array(whole.buffer, out, 2)], [9 * NORM_BLOCK_ELEMENTS, 27], k.name)
    k.scale(values, values, 2, length)
    k.reduce(out, [values, values], [1, 1], length)
    t.ok(
      new Float32Array(whole.buffer, out, length).every(value => value === 6),
      k.name,
    )
  }
})
