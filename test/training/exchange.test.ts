import fc from 'fast-check'
import t from 'tap'
import {
  assemble,
  BatchFeed,
  BatchRing,
  ExchangeRegion,
  optimizerSpec,
  planLayout,
  SamplePlan,
  scatter,
  Shard,
  weightsSha256,
  type ModelSpec,
} from '../../src/training/index.js'

const MODEL: ModelSpec = {
  variables: [
    { name: 'kernel', shape: [9, 5], trainable: true },
    { name: 'mean', shape: [3], trainable: false },
    { name: 'bias', shape: [5], trainable: true },
  ],
  optimizers: [{ spec: optimizerSpec('adam', 'adam', 0.01), variables: [0, 2] }],
  outputs: ['loss', 'acc'],
}
const GENERATION = 4

/** Plays the workers' part by hand: values of a push are a function of (step, rank) alone. */
class Cluster {
  readonly shards: Shard[]
  readonly ranks: number
  readonly incarnation: number[]
  readonly regions: ExchangeRegion[] = []
  readonly steps: number[][] = []

  constructor(shards: number, ranks: number) {
    this.ranks = ranks
    this.incarnation = new Array<number>(ranks).fill(0)
    this.shards = Array.from(
      { length: shards },
      (_, shard) => new Shard({ shard, shards, ranks, generation: GENERATION }),
    )
    const layout = planLayout(MODEL.variables, shards)
    const initial = MODEL.variables.map(({ shape }, v) =>
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(v + i)),
    )
    for (const [s, shard] of this.shards.entries()) {
      const buffer = new Float32Array(layout.shardElements[s]!)
      scatter(layout, s, initial, buffer)
      shard.define(MODEL, buffer)
    }
    for (let rank = 0; rank < ranks; rank++) this.join(rank)
  }

  /** A new incarnation of the rank's worker; returns the step it has to compute. */
  join(rank: number): number {
    const incarnation = (this.incarnation[rank]! += 1)
    const next = this.shards.map(shard => shard.enlist(rank, incarnation))
    const { shardElements } = this.shards[0]!.layout
    const shape = { generation: GENERATION, incarnation, rank, shardElements, outputs: 2 }
    this.regions[rank] = ExchangeRegion.create(shape)
    for (const shard of this.shards) shard.attach(rank, MODEL, this.regions[rank].buffer)
    return Math.min(...next)
  }

  push(rank: number, step: number, shards = this.shards.map((_, s) => s)): void {
    const region = this.regions[rank]!
    const values = MODEL.variables.map(({ shape }, v) =>
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
        Math.cos(step * 31 + rank * 7 + v + i),
      ),
    )
    for (const s of shards) scatter(this.shards[s]!.layout, s, values, region.values(s))
    region.outputs.set([1 / (step + 1), rank / 10])
    region.stage({ step, rows: ((step + rank) % 3) * 8, optimizer: 0 })
    for (const s of shards) region.commit(s)
  }

  scan(): void {
    for (const shard of this.shards) {
      for (const { step, rows, outputs } of shard.scan().closed) {
        if (shard.options.shard === 0) this.steps.push([step, rows, ...outputs])
      }
    }
  }

  hash(): string {
    const buffers = this.shards.map(shard => shard.weights())
    return weightsSha256(MODEL.variables, assemble(this.shards[0]!.layout, MODEL.variables, buffers))
  }
}

function undisturbed(shards: number, ranks: number, steps: number): Cluster {
  const cluster = new Cluster(shards, ranks)
  for (let step = 0; step < steps; step++) {
    for (let rank = 0; rank < ranks; rank++) cluster.push(rank, step)
    cluster.scan()
  }
  return cluster
}

t.test('shards: results do not depend on how many there are', async t => {
  const one = undisturbed(1, 3, 12)
  for (const shards of [2, 3, 5]) {
    const other = undisturbed(shards, 3, 12)
    t.equal(other.hash(), one.hash(), `${shards} shards`)
    t.strictSame(other.steps, one.steps)
  }
  t.not(undisturbed(1, 2, 12).hash(), one.hash(), 'they do on the number of workers')
})

t.test('shards: neither the order of pushes nor deaths between them change a bit', async t => {
  const steps = 5
  const expected = undisturbed(2, 3, steps)
  fc.assert(
    fc.property(
      fc.array(fc.record({ rank: fc.nat(2), shard: fc.nat(1), dies: fc.boolean(), scans: fc.boolean() }), {
        minLength: 300,
        maxLength: 300,
      }),
      moves => {
        const cluster = new Cluster(2, 3)
        // Where each rank stands: the step it computes, and the shards it has committed it to.
        const at = Array.from({ length: 3 }, () => ({ step: 0, done: new Set<number>() }))
        const play = ({ rank, shard, dies, scans }: (typeof moves)[number]): void => {
          const me = at[rank]!
          const pulled = cluster.shards.every(s => s.step >= me.step)
          if (pulled && me.step < steps && !me.done.has(shard)) {
            cluster.push(rank, me.step, [shard])
            me.done.add(shard)
          }
          if (scans) cluster.scan()
          if (dies) {
            me.step = cluster.join(rank)
            me.done = new Set()
          }
          if (cluster.shards.every(s => s.step > me.step)) {
            me.step += 1
            me.done = new Set()
          }
        }
        for (const move of moves) play(move)
        // Whatever is left happens without deaths.
        for (let round = 0; round < 200 && cluster.shards.some(s => s.step < steps); round++) {
          play({ rank: round % 3, shard: Math.floor(round / 3) % 2, dies: false, scans: true })
        }
        t.equal(cluster.hash(), expected.hash())
        t.strictSame(cluster.steps, expected.steps)
      },
    ),
    { numRuns: 60 },
  )
})

t.test(
  'a worker that dies between its pushes: the first push counts, the repeated one is compared',
  async t => {
    const cluster = new Cluster(2, 2)
    cluster.push(0, 0)
    cluster.push(1, 0, [0])
    cluster.scan()
    t.equal(cluster.shards[0]!.step, 1, 'shard 0 has all pushes')
    t.equal(cluster.shards[1]!.step, 0, 'shard 1 waits')
    t.equal(cluster.join(1), 0, 'the successor computes the step again')
    cluster.push(1, 0)
    const [first, second] = cluster.shards.map(shard => shard.scan())
    t.strictSame(first!.refused, [{ rank: 1, step: 0, verdict: 'duplicate' }])
    t.equal(second!.closed.length, 1)

    cluster.push(1, 1, [0])
    cluster.scan()
    t.equal(cluster.join(1), 1)
    cluster.push(1, 1)
    t.match(cluster.shards[0]!.scan().refused, [{ verdict: 'duplicate', sameBits: true }])
    cluster.scan()
    t.equal(cluster.join(1), 2, 'a successor that dies before step 2 finds both shards at 2')
  },
)

t.test('a repeated push with other bits is noticed, and does not count', async t => {
  const cluster = new Cluster(1, 2)
  cluster.push(1, 0)
  cluster.scan()
  cluster.join(1)
  cluster.push(1, 0)
  cluster.regions[1]!.values(0)[0]! += 1
  t.match(cluster.shards[0]!.scan().refused, [{ rank: 1, step: 0, verdict: 'duplicate', sameBits: false }])
  cluster.push(0, 0)
  cluster.scan()
  t.equal(cluster.hash(), undisturbed(1, 2, 1).hash())
})

t.test('what a predecessor commits after its successor was enlisted has no effect', async t => {
  const cluster = new Cluster(1, 2)
  const old = cluster.regions[1]!
  cluster.join(1)
  old.stage({ step: 0, rows: 8, optimizer: 0 })
  old.commit(0)
  cluster.push(0, 0)
  cluster.scan()
  t.equal(cluster.shards[0]!.step, 0)
  t.throws(() => cluster.shards[0]!.attach(1, MODEL, old.buffer), { code: 'ERR_STALE_INCARNATION' })
  const strange = ExchangeRegion.create({
    generation: 3,
    incarnation: 2,
    rank: 1,
    shardElements: [60],
    outputs: 2,
  })
  t.throws(() => cluster.shards[0]!.attach(1, MODEL, strange.buffer), { code: 'ERR_STALE_GENERATION' })
})

t.test('state is averaged over rows; the version before stays readable; waits end', async t => {
  const cluster = new Cluster(2, 2)
  const { area } = cluster.shards[0]!
  const before = area.weights(0).slice()
  cluster.push(0, 1 - 1)
  cluster.push(1, 0)
  cluster.scan()
  t.strictSame(area.weights(0), before, 'version 0 is untouched by version 1')
  const state = cluster.shards[0]!.layout.slices.find(slice => slice.variable === 1)!
  // Rows of step 0 are 0 for rank 0 and 8 for rank 1: rank 0 is not read.
  t.equal(area.weights(1)[state.at], Math.fround(Math.cos(7 + 1)))
  t.equal(area.waitForVersion(1), 'closed')
  t.equal(area.rows(1), 8)
  t.strictSame([...area.outputs(1)], [1, Math.fround(0.1)])
  cluster.shards[0]!.retire()
  t.equal(area.waitForVersion(1), 'retired')
})

t.test('state on which all ranks agree does not drift by rounding', async t => {
  const cluster = new Cluster(1, 3)
  for (let step = 0; step < 20; step++) {
    for (let rank = 0; rank < 3; rank++) {
      cluster.push(rank, step, [])
      const state = cluster.shards[0]!.layout.slices.find(slice => slice.variable === 1)!
      cluster.regions[rank]!.values(0).fill(0.1, state.at, state.at + state.length)
      cluster.regions[rank]!.stage({ step, rows: rank + 5, optimizer: 0 })
      cluster.regions[rank]!.commit(0)
    }
    cluster.scan()
  }
  const { area, layout } = cluster.shards[0]!
  const state = layout.slices.find(slice => slice.variable === 1)!
  t.equal(area.weights(20)[state.at], Math.fround(0.1))
})

t.test('ranks with different models or optimizers are told so, with both lists', async t => {
  const cluster = new Cluster(1, 2)
  const [shard] = cluster.shards
  const other = {
    ...MODEL,
    variables: [...MODEL.variables.slice(0, 2), { name: 'bias', shape: [6], trainable: true }],
  }
  t.throws(() => shard!.attach(1, other, cluster.regions[1]!.buffer), {
    code: 'ERR_RANKS_DIVERGED',
    message:
      /bias\[6\] instead of bias\[5\]. The job has \[kernel\[9x5\], mean\[3\] \(state\), bias\[5\]\]; rank 1 has/,
  })
  cluster.push(0, 0)
  cluster.push(1, 0)
  cluster.regions[1]!.stage({ step: 0, rows: 8, optimizer: 1 })
  t.throws(() => shard!.scan(), {
    code: 'ERR_RANKS_DIVERGED',
    message: /rank 1 used optimizer number 1, rank 0 adam/,
  })
})

t.test('phases: counted over all incarnations of a rank', async t => {
  const cluster = new Cluster(1, 1)
  cluster.regions[0]!.spend('compute', 5)
  cluster.join(0)
  cluster.regions[0]!.spend('compute', 2)
  cluster.regions[0]!.spend('pull', 1)
  t.strictSame(cluster.shards[0]!.phases(), [{ data: 0, compute: 7, push: 0, barrier: 0, pull: 1 }])
})

t.test('feed: fills by the plan under credit, over the end of an epoch, and jumps anywhere', async t => {
  const plan = new SamplePlan({ seed: 3, rows: 10, ranks: 2, batchSize: 2, shuffle: true })
  const ring = BatchRing.create({ slots: 2, maxRows: 2, xElements: 3, yElements: 1 })
  const reader = new BatchRing(ring.buffer)
  const feed = new BatchFeed(ring, plan, 1, (rows, xs, ys) => {
    for (const [i, row] of rows.entries()) {
      xs.fill(row, i * 3, i * 3 + 3)
      ys[i] = -row
    }
  })
  const expect = (epoch: number, ordinal: number): void => {
    const batch = reader.take()!
    const rows = [...plan.batch(epoch, ordinal, 1)]
    t.strictSame([batch.epoch, batch.ordinal, batch.rows], [epoch, ordinal, rows.length])
    t.strictSame(
      [...batch.xs.subarray(0, rows.length * 3)],
      rows.flatMap(row => [row, row, row]),
    )
    t.strictSame(
      [...batch.ys.subarray(0, rows.length)],
      rows.map(row => -row),
    )
    reader.release()
  }
  t.equal(feed.pump(), 0, 'nothing before the reader says what it wants')
  reader.jump({ epoch: 0, ordinal: 1 })
  feed.pump()
  t.equal(ring.credit, 0, 'as many as there are slots')
  expect(0, 1)
  expect(0, 2)
  feed.pump()
  expect(1, 0)
  reader.jump({ epoch: 7, ordinal: 2 })
  feed.pump()
  expect(7, 2)
  feed.pump()
  expect(8, 0)
  ring.close()
  t.equal(reader.take(), undefined)
})
