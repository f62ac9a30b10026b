import fc from 'fast-check'
import t from 'tap'
import {
  assemble,
  elementCount,
  imbalance,
  Journal,
  JournalReader,
  Ledger,
  NORM_BLOCK_ELEMENTS,
  optimizerSpec,
  Permutation,
  JobModel,
  introducedSlices,
  introducedValues,
  planLayout,
  SamplePlan,
  shardElements,
  ShardMemory,
  SnapshotReader,
  type JournalEntry,
  type ModelPart,
  type SnapshotTensor,
  type VariableSpec,
} from '../../src/training/index.js'

const variable = fc.record({
  name: fc.string({ minLength: 1, maxLength: 5 }),
  shape: fc.array(fc.nat(15), { maxLength: 3 }),
  trainable: fc.boolean(),
})

t.test(
  'layout: every element on exactly one shard, split at blocks of norms only, and all comes back',
  async t => {
    const lists = fc.array(fc.array(variable, { maxLength: 5 }), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 7 }), (lists, shards) => {
        const model = new JobModel(shards)
        const tensors: SnapshotTensor[] = []
        const values: Float32Array[] = []
        let n = 0
        for (const [number, list] of lists.entries()) {
          const variables = list.map(({ shape, trainable }, i) => ({
            name: `${number}/${i}`,
            shape,
            trainable,
          }))
          const part = model.add({ variables, optimizer: optimizerSpec('a', 'sgd'), outputs: [] })
          const initial = variables.map(({ shape }) =>
            Float32Array.from({ length: elementCount(shape) }, () => ++n),
          )
          values.push(...initial)
          for (let shard = 0; shard < shards; shard++) {
            const mine = introducedValues(part, shard, initial)
            for (const [i, { variable: index, offset, length }] of introducedSlices(part, shard).entries()) {
              const { name, shape, trainable } = model.variables[index]!
              if (offset % NORM_BLOCK_ELEMENTS !== 0) throw new Error('split within a block')
              if (!trainable && shard !== 0) throw new Error('state off shard 0')
              if (mine[i]!.length !== length) throw new Error('values of another length')
              tensors.push({ variable: name, kind: 'weights', shape, offset, values: mine[i]! })
            }
          }
        }
        const elements = tensors.reduce((sum, tensor) => sum + tensor.values.length, 0)
        if (elements !== n) throw new Error(`${elements} elements of ${n}`)
        t.strictSame(assemble(model.variables, tensors, 'weights'), values)
      }),
      { numRuns: 150 },
    )
  },
)

t.test(
  'layout: balanced where the model allows, with small variables whole; later parts fill up',
  async t => {
    const dense = (name: string, ...shape: number[]): VariableSpec => ({ name, shape, trainable: true })
    const mlp = [dense('k1', 784, 128), dense('b1', 128), dense('k2', 128, 10), dense('b2', 10)]
    for (const shards of [1, 2, 3, 5]) {
      const slices = planLayout(mlp, shards)
      const balance = imbalance(shardElements(slices, shards))
      t.ok(balance <= 1.1, `${shards} shards: ${balance}`)
      for (const small of [1, 2, 3]) t.equal(slices.filter(slice => slice.variable === small).length, 1)
    }
    // Half a block, and the snap to a variable's edge, are small against a shard of this size.
    const large = 16 * NORM_BLOCK_ELEMENTS
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 8 }),
        fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 20 }),
        fc.nat(20),
        (shards, sizes, first) => {
          const total = sizes.reduce((a, b) => a + b, 0)
          fc.pre(total / shards >= large)
          const parts = [sizes.slice(0, first), sizes.slice(first)].map((list, p) =>
            list.map((size, i) => dense(`${p}/${i}`, size)),
          )
          let placed = new Array<number>(shards).fill(0)
          for (const variables of parts) {
            const added = shardElements(planLayout(variables, shards, placed), shards)
            placed = placed.map((before, shard) => before + added[shard]!)
          }
          if (placed.reduce((a, b) => a + b, 0) !== total) throw new Error('elements lost')
          if (imbalance(placed) > 1.15) throw new Error(`imbalance ${imbalance(placed)}`)
          if (first === 0 && imbalance(placed) > 1.1 + NORM_BLOCK_ELEMENTS / (total / shards))
            throw new Error(`imbalance ${imbalance(placed)} at once`)
        },
      ),
      { numRuns: 500 },
    )
    t.throws(() => planLayout([dense('big', 2 ** 29)], 1), { code: 'ERR_LAYOUT' })
  },
)

t.test('model: a variable has one shape and one place in a part', async t => {
  const part = (...variables: VariableSpec[]): ModelPart => ({
    variables,
    optimizer: optimizerSpec('a', 'sgd'),
    outputs: ['loss'],
  })
  const model = new JobModel(2, [part({ name: 'w', shape: [3], trainable: true })])
  t.throws(() => model.add(part({ name: 'w', shape: [4], trainable: true })), {
    message: /variable w has the shape \[4\] in this step, \[3\] in those before/,
  })
  const twice = { name: 'v', shape: [1], trainable: true }
  t.throws(() => model.add(part(twice, twice)), { message: /two variables of a step are called v/ })
  t.throws(() => model.agree(5, part(twice), 1), { code: 'ERR_INTERNAL' })
  t.strictSame(model.add(part({ name: 'w', shape: [3], trainable: false })).introduces, [])
})

t.test(
  'snapshot: any interval comes back from pieces that were cut in any way, or its lack is named',
  async t => {
    const length = 40
    const value = (i: number): number => i * i
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(length), fc.nat(length)), { maxLength: 8 }),
        fc.nat(length),
        fc.nat(length),
        (cuts, a, b) => {
          const pieces = cuts.map(([from, to]) => ({
            variable: 'w',
            kind: 'weights',
            shape: [length],
            offset: Math.min(from, to),
            values: Float32Array.from({ length: Math.abs(to - from) }, (_, i) =>
              value(Math.min(from, to) + i),
            ),
          }))
          const [offset, end] = [Math.min(a, b), Math.max(a, b)]
          const covered = Array.from({ length: end - offset }, (_, i) =>
            pieces.some(p => p.offset <= offset + i && offset + i < p.offset + p.values.length),
          ).every(Boolean)
          const into = new Float32Array(end - offset)
          const wanted = { variable: 'w', kind: 'weights', shape: [length], offset, length: end - offset }
          const read = (): void => new SnapshotReader(pieces).read(wanted, into)
          if (!covered) t.throws(read, { code: 'ERR_STATE_LOST' })
          else {
            read()
            if (into.some((got, i) => got !== value(offset + i))) throw new Error('other values')
          }
        },
      ),
      { numRuns: 300 },
    )
    const other = { variable: 'w', kind: 'weights', shape: [8, 5], offset: 0, values: new Float32Array(40) }
    const wanted = { ...other, shape: [5, 8], length: 40 }
    t.throws(() => new SnapshotReader([other]).read(wanted, new Float32Array(40)), {
      message: /has the shape \[8, 5\]/,
    })
  },
)

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
          t.equal(ledger.enlist({ generation: 3, rank, incarnation }), applied[rank]!.length)
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
  const worker = (rank: number, incarnation: number, generation = 1) => ({ generation, rank, incarnation })
  t.equal(ledger.enlist(worker(0, 2)), 0)
  const header = { generation: 1, incarnation: 2, rank: 0, step: 0 }
  t.equal(ledger.judge({ ...header, generation: 0 }), 'stale-generation')
  t.equal(ledger.judge({ ...header, incarnation: 1 }), 'stale-incarnation')
  t.equal(ledger.judge({ ...header, step: 1 }), 'future')
  t.equal(ledger.judge(header), 'accept')
  t.equal(ledger.judge(header), 'duplicate')
  t.equal(ledger.enlist(worker(0, 3)), 1, 'a successor is told what comes next')
  t.throws(() => ledger.enlist(worker(0, 2)), { code: 'ERR_STALE_INCARNATION' })
  t.throws(() => ledger.enlist(worker(0, 4, 2)), { code: 'ERR_STALE_GENERATION' })
  t.throws(() => ledger.assertCurrent(worker(0, 2)), { code: 'ERR_STALE_INCARNATION' })
  t.throws(() => ledger.enlist(worker(2, 1)), { message: /rank 2 does not exist; the job has 2 ranks/ })
})

/** A step's entry that tells its number; parts differ in how many values they return. */
function entryOf(step: number): JournalEntry {
  const part = step % 3 === 2 ? 1 : 0
  const outputs = part === 1 ? [step] : [step, step / 2, -step]
  return { part, outputs: Float32Array.from(outputs), rows: step + 1 }
}

function journalOf(steps: number, maxSteps?: number, epochLength?: number): Journal {
  const journal = new Journal(maxSteps)
  for (let step = 0; step < steps; step++) {
    journal.append(entryOf(step))
    if (epochLength === undefined || (step + 1) % epochLength !== 0) continue
    journal.endEpoch({ epoch: (step + 1) / epochLength - 1, step: step + 1, logs: { loss: step } })
  }
  return journal
}

t.test('journal: gives back what was appended, of several parts, also beyond its first capacity', async t => {
  const journal = journalOf(3000, undefined, 500)
  for (const image of [journal.image(2500), Journal.from(journal.image()).image(2500)]) {
    t.strictSame([image.first, image.steps, image.widths], [0, 2500, [3, 1]])
    t.equal(
      image.outputs.length,
      [...image.parts].reduce((sum, part) => sum + (part === 1 ? 1 : 3), 0),
    )
    const reader = new JournalReader(image)
    for (const step of [0, 1, 2, 1023, 1024, 2499]) t.strictSame(reader.entry(step), entryOf(step))
    t.equal(reader.entry(2500), undefined)
    t.strictSame(
      image.epochs.map(({ epoch, step }) => [epoch, step]),
      [0, 1, 2, 3, 4].map(epoch => [epoch, (epoch + 1) * 500]),
    )
  }
  t.equal(journal.image(9999).steps, 3000)
  t.throws(() => journal.append({ part: 0, outputs: Float32Array.of(1), rows: 1 }), { code: 'ERR_INTERNAL' })
  t.strictSame([...journal.entriesFrom(2998).keys()], [2998, 2999])
  journal.endEpoch({ epoch: 5, step: 3000, logs: { loss: NaN } })
  t.equal(
    journal.image().epochs.at(-1)!.logs['loss'],
    2999,
    'what is told again does not change what is there',
  )
})

t.test('journal: beyond its bound the oldest epochs keep only their logs', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 1, max: 90 }),
      fc.nat(60),
      (steps, most, epoch) => {
        const journal = journalOf(steps, most, epoch === 0 ? undefined : epoch)
        const image = Journal.from(journal.image(), most).image()
        const kept = image.steps - image.first
        if (image.steps !== steps || kept > most) throw new Error(`${kept} steps kept of at most ${most}`)
        if (kept !== image.rows.length) throw new Error('entries do not match')
        if (steps <= most && image.first !== 0) throw new Error('forgot without need')
        const ends = image.epochs.map(end => end.step)
        if (epoch === 0 || epoch > most) {
          // No whole epoch fits: the oldest steps go one by one.
          if (epoch === 0 && image.first !== Math.max(0, steps - most))
            throw new Error(`first is ${image.first}`)
        } else if (image.first !== 0 && kept + epoch <= most) throw new Error('forgot more than it had to')
        else if (epoch !== 0 && ends.length !== Math.floor(steps / epoch))
          throw new Error('an epoch log is lost')
        const reader = new JournalReader(image)
        for (let step = 0; step < steps; step++) {
          const entry = reader.entry(step)
          if ((entry === undefined) !== step < image.first) throw new Error(`step ${step}`)
          if (entry !== undefined && entry.rows !== step + 1) throw new Error('another step')
        }
      },
    ),
    { numRuns: 300 },
  )
})

t.test('memory: blocks are zero, on lines of their own, overlap nothing, and are used again', async t => {
  const memory = new ShardMemory()
  const held = new Map<number, number>()
  fc.assert(
    fc.property(
      fc.array(fc.record({ bytes: fc.nat(60_000), free: fc.boolean() }), { minLength: 1, maxLength: 40 }),
      actions => {
        for (const { bytes, free } of actions) {
          const [first] = held.keys()
          if (free && first !== undefined) {
            memory.free(first)
            held.delete(first)
            continue
          }
          const offset = memory.allocate(bytes)
          const block = new Uint8Array(memory.buffer, offset, bytes)
          if (offset % 64 !== 0) throw new Error('not on a line of its own')
          if (block.some(byte => byte !== 0)) throw new Error('not zero')
          for (const [other, length] of held) {
            if (offset < other + length && other < offset + bytes) throw new Error('blocks overlap')
          }
          block.fill(255)
          held.set(offset, bytes)
        }
      },
    ),
    { numRuns: 60 },
  )
  for (const offset of held.keys()) memory.free(offset)
  t.equal(memory.usedBytes, 0)
  t.throws(() => memory.free(64), { code: 'ERR_INTERNAL' })
  const many = Array.from({ length: 20 }, () => memory.allocate(60_000))
  const before = memory.buffer.byteLength
  for (const parity of [0, 1])
    for (const [i, offset] of many.entries()) if (i % 2 === parity) memory.free(offset)
  memory.allocate(many.length * 60_000)
  t.equal(memory.buffer.byteLength, before, 'gaps that touch have become one')
  t.throws(() => memory.allocate(2 ** 32), {
    code: 'ERR_LAYOUT',
    message: /needs \d+ bytes .* at most 4294967296/,
  })
})
