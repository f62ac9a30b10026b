import fc from 'fast-check'
import t from 'tap'
import { clipFactor, normClipping } from '../../src/training/clipping.js'
import { cosinePi, exponential, logarithm, power } from '../../src/training/elementary.js'
import { gradientNorms, normBlocks, type BlockSums } from '../../src/training/gradient-norm.js'
import { integerPower } from '../../src/training/integer-power.js'
import { kernels } from '../../src/training/kernels/choose-kernels.js'
import { KERNEL_SCRATCH_BYTES, NORM_BLOCK_ELEMENTS } from '../../src/training/kernels/kernels.js'
import { PLAIN_UPDATES } from '../../src/training/kernels/plain-updates.js'
import { sharedMemory } from '../../src/training/kernels/web-assembly.js'
import {
  OPTIMIZER_NAMES,
  optimizerSpec,
  slotsOf,
  updateStep,
  type OptimizerSpec,
} from '../../src/training/optimizer.js'
import { reduceOutputs, TreeReduction } from '../../src/training/reduction.js'
import { learningRateAt, SCHEDULE_NAMES, type LearningRateSchedule } from '../../src/training/schedule.js'
import { weightsSha256 } from '../../src/training/weights-hash.js'

const f = Math.fround
const float32 = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })

function steps(spec: OptimizerSpec, initial: number[], gradients: number[][]): number[] {
  const slots = slotsOf(spec).map(slot => new Float32Array(initial.length).fill(slot.initial))
  let weights = Float32Array.from(initial)
  for (const [i, gradient] of gradients.entries()) {
    const to = new Float32Array(initial.length)
    const { kernel, scalars } = updateStep(spec, i + 1)
    PLAIN_UPDATES[kernel](weights, to, Float32Array.from(gradient), slots, scalars)
    weights = to
  }
  return [...weights]
}

t.test('sgd: every operation is rounded to float32', async t => {
  const [w] = steps(optimizerSpec('a', 'sgd', 0.1), [1], [[0.3]])
  t.equal(w, f(1 - f(f(0.1) * f(0.3))))
})

t.test('momentum: agrees with Keras over three steps', async t => {
  // tf.keras.optimizers.SGD(0.1, momentum=0.9) by its definition, in exact decimals.
  const [w] = steps(optimizerSpec('a', 'momentum', { learningRate: 0.1 }), [1], [[1], [1], [-2]])
  // v: -0.1, -0.19, 0.029; w: 0.9, 0.71, 0.739
  t.ok(Math.abs(w! - 0.739) < 1e-6, String(w))
})

t.test('adam: the first step moves by the learning rate, and later ones as by its definition', async t => {
  const spec = optimizerSpec('a', 'adam', 0.01)
  t.ok(
    Math.abs(steps(spec, [1], [[5]])[0]! - 0.99) < 1e-6,
    'bias correction cancels the size of the gradient',
  )
  const gradients = [0.5, -0.2, 0.9, 0.1, -0.7]
  let [m, v, w] = [0, 0, 1]
  for (const [i, g] of gradients.entries()) {
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    w -= (0.01 * (m / (1 - 0.9 ** (i + 1)))) / (Math.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-7)
  }
  const [got] = steps(
    spec,
    [1],
    gradients.map(g => [g]),
  )
  t.ok(Math.abs(got! - w) < 1e-6, String([got, w]))
})

t.test('optimizers: elementwise, so a result does not depend on how elements are divided', async t => {
  const row = fc.array(float32, { minLength: 6, maxLength: 6 })
  fc.assert(
    fc.property(
      fc.constantFrom(...OPTIMIZER_NAMES),
      row,
      fc.array(row, { maxLength: 4 }),
      (name, w, gradients) => {
        const spec = optimizerSpec('a', name)
        const part = (from: number, to?: number): number[] =>
          steps(
            spec,
            w.slice(from, to),
            gradients.map(g => g.slice(from, to)),
          )
        t.strictSame([...part(0, 2), ...part(2)], part(0))
      },
    ),
    { numRuns: 60 },
  )
})

t.test('optimizers: slots are named, and begin with what the options say', async t => {
  const slots = (name: string, options = {}): [string, number][] =>
    slotsOf(optimizerSpec('a', name, options)).map(slot => [slot.name, slot.initial])
  t.strictSame(slots('sgd'), [])
  t.strictSame(slots('nesterov'), [['velocity', 0]])
  t.strictSame(slots('adagrad'), [['accumulator', 0.1]])
  t.strictSame(slots('rmsprop'), [['meanSquare', 0]])
  t.strictSame(slots('rmsprop', { centered: true, momentum: 0.5 }), [
    ['meanSquare', 0],
    ['meanGradient', 0],
    ['velocity', 0],
  ])
  t.strictSame(slots('adam', { amsgrad: true }), [
    ['m', 0],
    ['v', 0],
    ['vMax', 0],
  ])
  t.strictSame(slots('ftrl', { initialAccumulator: 3 }), [
    ['accumulator', 3],
    ['linear', 0],
  ])
})

t.test('optimizers: a wrong name, option or value is refused with the limit', async t => {
  const refused = (name: string, options: object, message: RegExp): void => {
    t.throws(() => optimizerSpec('a', name, options as never), { code: 'ERR_INVALID_OPTION', message })
  }
  t.throws(() => optimizerSpec('a', 'adamm'), { code: 'ERR_OPTIMIZER' })
  t.throws(() => optimizerSpec('a', 'adamm'), { message: /"adamm" is not known; known: sgd, momentum, / })
  refused('adam', { beta: 0.9 }, /no option "beta"; it has learningRate, beta1/)
  refused('adam', { beta1: 1 }, /adam.beta1 is 1; it must be a number in \[0, 1\)/)
  refused('adam', { amsgrad: 1 }, /adam.amsgrad is 1; it must be true or false/)
  refused('sgd', { clipNorm: 0 }, /sgd.clipNorm is 0; it must be a number above 0/)
  refused('sgd', { weightDecay: -1 }, /sgd.weightDecay is -1; it must be a number of at least 0/)
  refused('ftrl', { learningRatePower: 1 }, /learningRatePower is 1; it must be a number of at most 0/)
  refused('ftrl', { learningRatePower: -Infinity }, /it must be a number of at most 0/)
  refused('sgd', { clipNorm: 1, clipValue: 1 }, /sgd has clipValue and clipNorm; one way of clipping/)
  refused('sgd', { learningRate: '1' }, /sgd.learningRate is "1"; .* at least 0, or a schedule/)
  t.throws(() => optimizerSpec('a', 'sgd', Number.NaN), { code: 'ERR_INVALID_OPTION' })
  t.strictSame(optimizerSpec('a', 'adam').options, {
    learningRate: 0.001,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-7,
    amsgrad: false,
    weightDecay: 0,
  })
  t.equal(optimizerSpec('a', 'adamw').options['weightDecay'], 0.004)
})

const CORRECT: Readonly<Record<LearningRateSchedule['schedule'], LearningRateSchedule>> = {
  exponentialDecay: {
    schedule: 'exponentialDecay',
    initialLearningRate: 0.1,
    decaySteps: 10,
    decayRate: 0.5,
  },
  inverseTimeDecay: {
    schedule: 'inverseTimeDecay',
    initialLearningRate: 0.1,
    decaySteps: 10,
    decayRate: 1,
  },
  polynomialDecay: { schedule: 'polynomialDecay', initialLearningRate: 0.1, decaySteps: 10 },
  piecewiseConstant: { schedule: 'piecewiseConstant', boundaries: [10, 20], values: [3, 2, 1] },
  cosineDecay: { schedule: 'cosineDecay', initialLearningRate: 0.1, decaySteps: 10 },
}

t.test('schedules: what they give at their borders', async t => {
  const at = (schedule: LearningRateSchedule, ...given: number[]): number[] =>
    given.map(step => learningRateAt(schedule, step))
  const { exponentialDecay, inverseTimeDecay, polynomialDecay, piecewiseConstant, cosineDecay } = CORRECT
  t.strictSame(at(exponentialDecay, 0, 10, 20), [0.1, 0.05, 0.025])
  t.strictSame(at({ ...exponentialDecay, staircase: true } as never, 9, 10, 19), [0.1, 0.05, 0.05])
  t.strictSame(at(inverseTimeDecay, 0, 10, 30), [0.1, 0.05, 0.025])
  t.strictSame(at(polynomialDecay, 0, 10, 11), [0.1, 0.0001, 0.0001])
  t.strictSame(
    at({ ...polynomialDecay, endLearningRate: 0, cycle: true } as never, 0, 10, 15),
    [0.1, 0, 0.025],
  )
  t.strictSame(at(piecewiseConstant, 0, 10, 11, 20, 21), [3, 3, 2, 2, 1])
  t.strictSame(at(cosineDecay, 0, 5, 10, 11), [0.1, 0.05, 0, 0])
  const warm = { ...cosineDecay, initialLearningRate: 0, warmupTarget: 0.5, warmupSteps: 2, alpha: 0.5 }
  t.strictSame(at(warm as never, 0, 1, 2, 12, 99), [0, 0.25, 0.5, 0.25, 0.25])
  t.equal(learningRateAt(0.3, 7), 0.3)
})

t.test('schedules: an update uses the rate of its own number, from 0', async t => {
  const learningRate = { schedule: 'piecewiseConstant', boundaries: [0], values: [1, 0] } as const
  t.strictSame(steps(optimizerSpec('a', 'sgd', { learningRate }), [0], [[1], [1], [1]]), [-1])
  // two optimizers, an equal text: a field's place in the program does not matter
  const turned = { values: [1, 0], boundaries: [0], schedule: 'piecewiseConstant' } as const
  t.equal(
    JSON.stringify(optimizerSpec('a', 'sgd', { learningRate: turned })),
    JSON.stringify(optimizerSpec('a', 'sgd', { learningRate })),
  )
})

t.test('schedules: a wrong field is refused with its place and the limit', async t => {
  const refused = (schedule: object, message: RegExp): void => {
    t.throws(() => optimizerSpec('a', 'sgd', { learningRate: schedule as never }), {
      code: 'ERR_INVALID_OPTION',
      message,
    })
  }
  for (const name of SCHEDULE_NAMES) {
    const correct = CORRECT[name]
    t.strictSame(optimizerSpec('a', 'sgd', { learningRate: correct }).options['learningRate'], correct)
    refused({ ...correct, decay: 1 }, new RegExp(`a ${name} without "decay": it has `))
    const { schedule, ...fields } = correct
    for (const field of Object.keys(fields)) {
      const without = { ...correct, [field]: undefined }
      refused(without, new RegExp(`sgd.learningRate.${field} is undefined; it must be `))
    }
    t.equal(schedule, name)
  }
  refused(
    { schedule: 'linear' },
    /sgd.learningRate.schedule is "linear"; it must be one of exponentialDecay, /,
  )
  const { exponentialDecay, piecewiseConstant, cosineDecay } = CORRECT
  refused({ ...exponentialDecay, decaySteps: 0 }, /learningRate.decaySteps is 0; it must be a number above 0/)
  refused({ ...exponentialDecay, staircase: 1 }, /learningRate.staircase is 1; it must be true or false/)
  refused({ ...cosineDecay, alpha: 2 }, /learningRate.alpha is 2; it must be a number in \[0, 1\]/)
  refused({ ...piecewiseConstant, values: [1] }, /one more than boundaries: 3 numbers, not 1/)
  refused(
    { ...piecewiseConstant, values: [1, 2, -1] },
    /values\[2\] is -1; it must be a number of at least 0/,
  )
  refused({ ...piecewiseConstant, boundaries: [5, 5] }, /boundaries is \[5,5\]; it must be growing/)
})

/** How far apart, in units of the last place of the expected number. */
function ulps(got: number, expected: number): number {
  if (Object.is(got, expected)) return 0
  return Math.abs(got - expected) / Math.max(Math.abs(expected) * Number.EPSILON, Number.MIN_VALUE)
}

t.test('elementary functions: within few units in the last place of the exact', async t => {
  const worst = { exponential: 0, logarithm: 0, cosinePi: 0, power: 0 }
  const note = (name: keyof typeof worst, distance: number): void => {
    worst[name] = Math.max(worst[name], distance)
  }
  for (let i = 0; i < 20_000; i++) {
    const x = (i * 0.6180339887498949) % 1
    note('exponential', ulps(exponential((x - 0.5) * 1400), Math.exp((x - 0.5) * 1400)))
    note('exponential', ulps(exponential(x - 0.5), Math.exp(x - 0.5)))
    const y = 2 ** ((x - 0.5) * 2000)
    note('logarithm', ulps(logarithm(y), Math.log(y)))
    note('logarithm', ulps(logarithm(0.5 + x), Math.log(0.5 + x)))
    // near its zero the cosine is as exact as the argument: measured against 1
    note('cosinePi', Math.abs(cosinePi(x) - Math.cos(Math.PI * x)) / Number.EPSILON)
    const exponent = ((i * 7919) % 3000) / 100
    note('power', ulps(power(x, exponent), x ** exponent) / (1 + exponent))
  }
  t.ok(worst.exponential <= 2 && worst.logarithm <= 2 && worst.cosinePi <= 2 && worst.power <= 2, 'close', {
    worst,
  })
})

t.test('elementary functions: exact where it matters, and right at the edges', async t => {
  t.strictSame([0, 0.25, 0.5, 1].map(cosinePi), [1, Math.SQRT1_2, 0, -1])
  t.strictSame([0, -Infinity, Infinity, 1000, -1000, Number.NaN].map(exponential), [
    1,
    0,
    Infinity,
    Infinity,
    0,
    Number.NaN,
  ])
  t.strictSame([1, 0, Infinity, -1, Number.NaN].map(logarithm), [
    0,
    -Infinity,
    Infinity,
    Number.NaN,
    Number.NaN,
  ])
  t.ok(ulps(exponential(-740), Math.exp(-740)) <= 2, 'denormals')
  t.ok(ulps(logarithm(Number.MIN_VALUE), Math.log(Number.MIN_VALUE)) <= 2)
  t.strictSame(
    [power(0, 0), power(0, 0.5), power(4, -2), power(9, 0.5), power(2, Infinity)],
    [1, 0, 1 / 16, 3, Number.NaN],
  )
})

t.test('integerPower: exact where exact is possible, and close elsewhere', async t => {
  t.equal(integerPower(2, 40), 2 ** 40)
  t.equal(integerPower(0.9, 0), 1)
  fc.assert(
    fc.property(fc.double({ min: 0.5, max: 1, noNaN: true }), fc.nat(10000), (base, exponent) => {
      const expected = base ** exponent
      t.ok(Math.abs(integerPower(base, exponent) - expected) <= 1e-12 * expected + Number.MIN_VALUE)
    }),
  )
})

t.test('clipping: a norm is left alone up to the limit and brought to it beyond', async t => {
  const none = normClipping(optimizerSpec('a', 'sgd', { clipValue: 1 }))
  const variable = normClipping(optimizerSpec('a', 'sgd', { clipNorm: 2 }))
  const global = normClipping(optimizerSpec('a', 'sgd', { globalClipNorm: 2 }))
  t.strictSame([none.kind, variable.kind, global.kind], ['none', 'variable', 'global'])
  const norms = [0, 1, 2, 4, 6, Infinity, Number.NaN]
  const factors = (clipping: typeof none): number[] => norms.map(norm => clipFactor(clipping, norm))
  t.strictSame(factors(none), [1, 1, 1, 1, 1, 1, 1])
  t.strictSame(factors(variable), [1, 1, 1, 0.5, f(1 / 3), 0, Number.NaN])
  t.strictSame(factors(global), [1, 1, 1, 0.5, f(1 / 3), Number.NaN, Number.NaN])
})

const memory = sharedMemory(16)
const k = kernels(memory, 0)

/** Sums of squares of a run of elements, as the shard that holds them makes them. */
function blockSums(variable: number, values: Float32Array, from: number, to: number): BlockSums {
  const [out, at] = [KERNEL_SCRATCH_BYTES, KERNEL_SCRATCH_BYTES + 2 ** 16]
  new Float32Array(memory.buffer, at, to - from).set(values.subarray(from, to))
  k.sumSquares(out, at, to - from)
  const sums = new Float64Array(memory.buffer, out, normBlocks(to - from)).slice()
  return { variable, block: from / NORM_BLOCK_ELEMENTS, sums }
}

t.test('norms: the same bits for 1, 2, 3 and 5 shards, cut at any blocks and heard in any order', async t => {
  const sizes = fc.array(fc.oneof(fc.nat(5), fc.nat(3000)), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(
      sizes,
      fc.nat(1000),
      fc.array(fc.nat(), { minLength: 20, maxLength: 20 }),
      (lengths, seed, cuts) => {
        const variables = lengths.map((length, v) =>
          Float32Array.from({ length }, (_, i) => Math.sin(seed + v * 17 + i) * 10 ** ((i % 9) - 4)),
        )
        const elements = new Map(lengths.map((length, variable) => [variable, length]))
        const whole = gradientNorms(
          elements,
          variables.map((values, variable) => blockSums(variable, values, 0, values.length)),
        )
        for (const shards of [2, 3, 5]) {
          const pieces = variables.flatMap((values, variable) => {
            const blocks = normBlocks(values.length)
            const borders = cuts
              .slice(0, shards - 1)
              .map(cut => (cut % (blocks + 1)) * NORM_BLOCK_ELEMENTS)
              .map(border => Math.min(border, values.length))
            const all = [0, ...borders.sort((a, b) => a - b), values.length]
            return all
              .slice(1)
              .map((to, i) => [all[i]!, to] as const)
              .filter(([from, to]) => to > from)
              .map(([from, to]) => blockSums(variable, values, from, to))
          })
          const heard = pieces.sort((a, b) => (cuts[a.block % 20]! % 97) - (cuts[b.block % 20]! % 97))
          const norms = gradientNorms(elements, heard)
          t.equal(norms.global, whole.global)
          t.strictSame([...norms.byVariable], [...whole.byVariable])
        }
        const exact = Math.sqrt(variables.reduce((sum, v) => v.reduce((s, x) => s + x * x, sum), 0))
        t.ok(Math.abs(whole.global - exact) <= 1e-12 * exact)
      },
    ),
    { numRuns: 40 },
  )
})

t.test('norms: a block that is missing, there twice or nobody\u2019s is refused', async t => {
  const elements = new Map([
    [1, 2 * NORM_BLOCK_ELEMENTS],
    [4, 0],
  ])
  const piece = (variable: number, block: number, ...sums: number[]): BlockSums => ({
    variable,
    block,
    sums: Float64Array.from(sums),
  })
  const norms = gradientNorms(elements, [piece(1, 1, 16), piece(1, 0, 9)])
  t.strictSame(norms, {
    byVariable: new Map([
      [1, 5],
      [4, 0],
    ]),
    global: 5,
  })
  const refused = (pieces: BlockSums[], message: RegExp): void =>
    void t.throws(() => gradientNorms(elements, pieces), { code: 'ERR_INTERNAL', message })
  refused([piece(1, 0, 9)], /variable 1 go on at block 1, not 2/)
  refused([piece(1, 1, 16)], /variable 1 go on at block 1, not 0/)
  refused([piece(1, 0, 9, 16), piece(1, 1, 16)], /variable 1 go on at block 1, not 2/)
  refused([piece(1, 0, 9, 16), piece(2, 0, 1)], /variable 2, which the step has not/)
})

t.test('reduction: the tree is fixed, so the result depends on values and weights alone', async t => {
  const inputs = [1e8, 1, -1e8, 1, 3].map(value => Float32Array.of(value))
  const out = new Float32Array(1)
  new TreeReduction(5).reduce(out, inputs, [1, 1, 1, 1, 1])
  const w = f(1 / 5)
  const leaf = inputs.map(input => f(input[0]! * w))
  t.equal(out[0], f(f(f(leaf[0]! + leaf[1]!) + f(leaf[2]! + leaf[3]!)) + leaf[4]!))
})

t.test('reduction: the same bits however the elements are cut', async t => {
  const ranks = fc.integer({ min: 1, max: 9 })
  fc.assert(
    fc.property(ranks, fc.integer({ min: 1, max: 5000 }), fc.nat(), fc.nat(5000), (R, size, seed, at) => {
      const inputs = Array.from({ length: R }, (_, r) =>
        Float32Array.from({ length: size }, (_, i) => Math.sin(seed + r * 7919 + i) * 10 ** ((i % 7) - 3)),
      )
      const weights = inputs.map((_, r) => (r * 7 + seed) % 5)
      const whole = new Float32Array(size)
      const parts = new Float32Array(size)
      const cut = at % size
      const tree = new TreeReduction(R)
      const any = tree.reduce(whole, inputs, weights)
      tree.reduce(
        parts.subarray(0, cut),
        inputs.map(input => input.subarray(0, cut)),
        weights,
      )
      tree.reduce(
        parts.subarray(cut),
        inputs.map(input => input.subarray(cut)),
        weights,
      )
      t.strictSame(parts, whole)
      t.equal(
        any,
        weights.some(weight => weight > 0),
      )
    }),
    { numRuns: 50 },
  )
})

t.test('reduction: a rank of weight 0 is not read, and stands for nothing', async t => {
  const out = new Float32Array(1)
  const nan = Float32Array.of(Number.NaN)
  t.ok(new TreeReduction(4).reduce(out, [nan, Float32Array.of(4), nan, Float32Array.of(8)], [0, 3, 0, 1]))
  t.equal(out[0], 5)
  t.notOk(new TreeReduction(2).reduce(out, [nan, nan], [0, 0]))
  t.equal(out[0], 5, 'without any weight nothing is written')
  reduceOutputs(out, [[Number.NaN], [2]], [0, 64])
  t.equal(out[0], 2)
})

t.test(
  'weightsSha256: covers order, names, shapes and every bit; trainable variables come first',
  async t => {
    const a = { name: 'a', shape: [2], trainable: true }
    const b = { name: 'b', shape: [1], trainable: false }
    const va = Float32Array.of(1, 2)
    const vb = Float32Array.of(3)
    const hash = weightsSha256([a, b], [va, vb])
    // sha256 over the bytes that the docstring defines, made by Python's struct and hashlib.
    t.equal(hash, '8b77c3d059fe5af18d9b1b6895e9c8cfa242118fe84b7b7e33073e6636aa826e')
    t.equal(weightsSha256([b, a], [vb, va]), hash, 'trainable first')
    t.not(weightsSha256([{ ...a, shape: [1, 2] }, b], [va, vb]), hash)
    t.not(weightsSha256([{ ...a, name: 'c' }, b], [va, vb]), hash)
    t.not(weightsSha256([a, b], [Float32Array.of(1, -2), vb]), hash)
    t.not(
      weightsSha256([a, b], [Float32Array.of(0, 2), vb]),
      weightsSha256([a, b], [Float32Array.of(-0, 2), vb]),
    )
  },
)
