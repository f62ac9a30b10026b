import fc from 'fast-check'
import t from 'tap'
import { integerPower } from '../../src/training/integer-power.js'
import {
  optimizerSpec,
  reduceOutputs,
  TreeReduction,
  updateRule,
  weightsSha256,
  type OptimizerSpec,
} from '../../src/training/index.js'

const f = Math.fround
const float32 = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })

function steps(spec: OptimizerSpec, initial: number[], gradients: number[][]): number[] {
  const rule = updateRule(spec.name)
  const slots = rule.slots.map(() => new Float32Array(initial.length))
  let weights = Float32Array.from(initial)
  for (const [i, gradient] of gradients.entries()) {
    const to = new Float32Array(initial.length)
    rule.prepare(spec.options, i + 1)(weights, to, Float32Array.from(gradient), slots)
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
      fc.constantFrom('sgd', 'momentum', 'adam'),
      row,
      fc.array(row, { maxLength: 4 }),
      (name, w, gradients) => {
        const spec = optimizerSpec('a', name)
        const whole = steps(spec, w, gradients)
        const head = steps(
          spec,
          w.slice(0, 2),
          gradients.map(g => g.slice(0, 2)),
        )
        const tail = steps(
          spec,
          w.slice(2),
          gradients.map(g => g.slice(2)),
        )
        t.strictSame([...head, ...tail], whole)
      },
    ),
  )
})

t.test('optimizers: a wrong name, option or value is refused with the limit', async t => {
  t.throws(() => optimizerSpec('a', 'adamm'), { code: 'ERR_OPTIMIZER' })
  t.throws(() => optimizerSpec('a', 'adamm'), { message: /"adamm" is not known; known: sgd, momentum, adam/ })
  t.throws(() => optimizerSpec('a', 'adam', { beta: 0.9 }), {
    message: /no option "beta"; it has learningRate, beta1/,
  })
  t.throws(() => optimizerSpec('a', 'adam', { beta1: 1 }), {
    message: /adam.beta1 is 1; it must be a number in \[0, 1\)/,
  })
  t.throws(() => optimizerSpec('a', 'sgd', Number.NaN), { code: 'ERR_INVALID_OPTION' })
  t.strictSame(optimizerSpec('a', 'adam').options, {
    learningRate: 0.001,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-7,
  })
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
