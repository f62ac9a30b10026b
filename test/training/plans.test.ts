import fc from 'fast-check'
import t from 'tap'
import {
  assemble,
  Journal,
  journalEntry,
  Ledger,
  Permutation,
  planLayout,
  SamplePlan,
  scatter,
  type VariableSpec,
} from '../../src/training/index.js'

const variable = fc.record({
  name: fc.string({ minLength: 1, maxLength: 5 }),
  shape: fc.array(fc.nat(15), { maxLength: 3 }),
  trainable: fc.boolean(),
})

t.test('layout: every element on exactly one shard, no slices overlap, and all comes back', async t => {
  fc.assert(
    fc.property(fc.array(variable, { maxLength: 8 }), fc.integer({ min: 1, max: 7 }), (variables, shards) => {
      const layout = planLayout(variables, shards)
      const seen = layout.shardElements.map(elements => new Uint8Array(elements))
      for (const slice of layout.slices) {
        if (slice.at % 4 !== 0) throw new Error('not aligned')
        if (!variables[slice.variable]!.trainable && slice.shard !== 0) throw new Error('state off shard 0')
        for (let i = 0; i < slice.length; i++) {
          const cell = seen[slice.shard]!
          if (slice.at + i >= cell.length || cell[slice.at + i] === 1) throw new Error('overlap')
          cell[slice.at + i] = 1
        }
      }
      let n = 0
      const values = variables.map(({ shape }) =>
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => ++n),
      )
      const buffers = layout.shardElements.map((elements, shard) => {
        const buffer = new Float32Array(elements)
        scatter(layout, shard, values, buffer)
        return buffer
      })
      t.strictSame(assemble(layout, variables, buffers), values)
    }),
    { numRuns: 150 },
  )
})

t.test('layout: balanced where the model allows, with small variables whole', async t => {
  const dense = (name: string, ...shape: number[]): VariableSpec => ({ name, shape, trainable: true })
  const mlp = [dense('k1', 784, 128), dense('b1', 128), dense('k2', 128, 10), dense('b2', 10)]
  for (const shards of [1, 2, 3, 5]) {
    const layout = planLayout(mlp, shards)
    t.ok(layout.imbalance <= 1.1, `${shards} shards: ${layout.imbalance}`)
    for (const small of [1, 2, 3]) t.equal(layout.slices.filter(slice => slice.variable === small).length, 1)
  }
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 8 }),
      fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 20 }),
      (shards, sizes) => {
        const total = sizes.reduce((a, b) => a + b, 0)
        fc.pre(total / shards >= 200)
        const { imbalance } = planLayout(
          sizes.map((size, i) => dense(`v${i}`, size)),
          shards,
        )
        if (imbalance > 1.1) throw new Error(`imbalance ${imbalance}`)
      },
    ),
    { numRuns: 500 },
  )
  t.throws(() => planLayout([dense('big', 2 ** 29)], 1), { code: 'ERR_LAYOUT' })
})

t.test('permutation: a bijection for any size, and different for each seed', async t => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 3000 }), (seed, size) => {
      const order = new Permutation(seed, size)
      const seen = new Set<number>()
      for (let i = 0; i < size; i++) {
        const at = order.at(i)
        if (!(at >= 0 && at < size)) throw new Error(`${at} out of range`)
        seen.add(at)
      }
      if (seen.size !== size) throw new Error('not a bijection')
    }),
  )
  const list = (seed: number): number[] =>
    Array.from({ length: 100 }, (_, i) => new Permutation(seed, 100).at(i))
  t.strictNotSame(list(1), list(2))
  t.ok(new Permutation(7, 2 ** 31).at(2 ** 31 - 1) < 2 ** 31)
})

t.test('permutation: rows land evenly, so a shuffle is one', async t => {
  const size = 60_000
  const order = new Permutation(42, size)
  const buckets = new Array<number>(20).fill(0)
  let neighbours = 0
  for (let i = 0; i < size; i++) {
    if (i < 6000) buckets[Math.floor((order.at(i) * 20) / size)]! += 1
    if (Math.abs(order.at(i) - order.at((i + 1) % size)) === 1) neighbours++
  }
  t.ok(
    buckets.every(count => count > 220 && count < 380),
    buckets.join(' '),
  )
  t.ok(neighbours < 20, `${neighbours} neighbours stayed neighbours`)
})

t.test('sample plan: every row once an epoch, as many steps for every rank, from any position', async t => {
  const spec = fc.record({
    seed: fc.nat(),
    rows: fc.integer({ min: 1, max: 700 }),
    ranks: fc.integer({ min: 1, max: 6 }),
    batchSize: fc.integer({ min: 1, max: 40 }),
    shuffle: fc.boolean(),
  })
  fc.assert(
    fc.property(spec, fc.nat(3), (spec, epoch) => {
      const plan = new SamplePlan(spec)
      const seen = new Uint8Array(spec.rows)
      for (let ordinal = 0; ordinal < plan.stepsPerEpoch; ordinal++) {
        const sizes = []
        for (let rank = 0; rank < spec.ranks; rank++) {
          const batch = plan.batch(epoch, ordinal, rank)
          sizes.push(batch.length)
          if (batch.length !== plan.size(ordinal, rank) || batch.length > spec.batchSize)
            throw new Error('size')
          for (const row of batch) seen[row]! += 1
        }
        if (Math.max(...sizes) - Math.min(...sizes) > 1) throw new Error('uneven')
        if (Math.max(...sizes) === 0) throw new Error('a step without rows')
      }
      if (!seen.every(count => count === 1)) throw new Error('a row missed or doubled')
      const ordinal = plan.stepsPerEpoch - 1
      t.strictSame(new SamplePlan(spec).batch(epoch, ordinal, 0), plan.batch(epoch, ordinal, 0), 'no history')
    }),
  )
})

t.test('sample plan: a new order each epoch when shuffled, stored order otherwise', async t => {
  const spec = { seed: 1, rows: 100, ranks: 1, batchSize: 100, shuffle: true }
  const plan = new SamplePlan(spec)
  t.strictNotSame(plan.batch(0, 0, 0), plan.batch(1, 0, 0))
  t.strictSame([...new SamplePlan({ ...spec, shuffle: false, batchSize: 3 }).batch(5, 1, 0)], [3, 4, 5])
  t.throws(() => plan.batch(0, 1, 0), { message: /batch 1 of rank 0 does not exist: 1 batches/ })
  t.throws(() => new SamplePlan({ ...spec, rows: 0 }), {
    message: /rows is 0; it must be a whole number in \[1, /,
  })
})

t.test('ledger: any order, repetition and loss of pushes applies each step once, in order', async t => {
  const push = fc.record({
    generation: fc.constantFrom(3, 3, 3, 2, 4),
    incarnation: fc.integer({ min: 1, max: 3 }),
    rank: fc.nat(2),
    step: fc.nat(6),
    enlist: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(push, { maxLength: 80 }), pushes => {
      const ledger = new Ledger(3, [0, 0, 0])
      const applied: number[][] = [[], [], []]
      const current = [0, 0, 0]
      for (const { enlist, ...header } of pushes) {
        const { rank, incarnation } = header
        if (enlist && incarnation >= current[rank]!) {
          t.equal(ledger.enlist(rank, incarnation), applied[rank]!.length)
          current[rank] = incarnation
        }
        const verdict = ledger.judge(header)
        if (verdict === 'accept') {
          if (header.generation !== 3 || incarnation !== current[rank])
            throw new Error('accepted a stale push')
          applied[rank]!.push(header.step)
        }
      }
      for (const steps of applied)
        t.strictSame(
          steps,
          steps.map((_, i) => i),
        )
    }),
  )
})

t.test('ledger: says why it refuses', async t => {
  const ledger = new Ledger(1, [0, 0])
  t.equal(ledger.enlist(0, 2), 0)
  const header = { generation: 1, incarnation: 2, rank: 0, step: 0 }
  t.equal(ledger.judge({ ...header, generation: 0 }), 'stale-generation')
  t.equal(ledger.judge({ ...header, incarnation: 1 }), 'stale-incarnation')
  t.equal(ledger.judge({ ...header, step: 1 }), 'future')
  t.equal(ledger.judge(header), 'accept')
  t.equal(ledger.judge(header), 'duplicate')
  t.equal(ledger.enlist(0, 3), 1, 'a successor is told what comes next')
  t.throws(() => ledger.enlist(0, 2), { code: 'ERR_STALE_INCARNATION' })
  t.throws(() => ledger.enlist(2, 1), { message: /rank 2 does not exist; the job has 2 ranks/ })
})

t.test('journal: gives back what was appended, also beyond its first capacity', async t => {
  const journal = new Journal()
  for (let step = 0; step < 3000; step++) {
    journal.append({ outputs: Float32Array.of(step, step / 2), rows: step + 1 })
  }
  const extract = journal.extract(2500)
  t.equal(extract.steps, 2500)
  for (const step of [0, 1023, 1024, 2499]) {
    t.strictSame(journalEntry(extract, step), { outputs: Float32Array.of(step, step / 2), rows: step + 1 })
  }
  t.throws(() => journal.extract(3001), { code: 'ERR_INTERNAL' })
  t.throws(() => journal.append({ outputs: Float32Array.of(1), rows: 1 }), { code: 'ERR_INTERNAL' })
})
