import fc from 'fast-check'
import t from 'tap'
import { BatchFeed, BatchRing, optimizerSpec, SamplePlan, type ModelPart } from '../../src/training/index.js'
import { ADAM, MOMENTUM, ShardCluster, type ClusterOptions } from '../helpers/shard-cluster.js'

const GAN: ClusterOptions = { parts: [ADAM, MOMENTUM], partOf: step => (step < 2 ? 0 : step % 2) }

function trained(options: ClusterOptions, steps: number): ShardCluster {
  const cluster = new ShardCluster(options)
  cluster.train(steps)
  return cluster
}

function clipped(option: string): ModelPart {
  return { ...ADAM, optimizer: optimizerSpec('adam-0', 'adam', { learningRate: 0.01, [option]: 0.5 }) }
}

t.test(
  'shards: results do not depend on how many there are, norms and several optimizers included',
  async t => {
    const cases: [string, ClusterOptions][] = [
      ['adam', {}],
      ['two parts', GAN],
      ['clipNorm', { parts: [clipped('clipNorm')] }],
      ['globalClipNorm', { parts: [clipped('globalClipNorm')] }],
      ['clipValue', { parts: [clipped('clipValue')] }],
    ]
    const seen = new Set<string>()
    for (const [name, options] of cases) {
      const one = trained({ ...options, shards: 1, ranks: 3 }, 12)
      t.equal(one.closed.length, 12)
      for (const shards of [2, 3, 5]) {
        const other = trained({ ...options, shards, ranks: 3 }, 12)
        t.strictSame(other.hashes(), one.hashes(), `${name}, ${shards} shards`)
        t.strictSame(other.history(), one.history())
      }
      seen.add(one.hashes()[0]!)
    }
    t.equal(seen.size, cases.length, 'every case trains in its own way')
    t.strictNotSame(trained({ ranks: 2 }, 12).hashes(), trained({ ranks: 3 }, 12).hashes())
  },
)

t.test('shards: neither the order of pushes, nor deaths, nor lost norms change a bit', async t => {
  const steps = 5
  const options: ClusterOptions = { ...GAN, shards: 2, ranks: 3 }
  const expected = trained(options, steps)
  t.equal(expected.closed.length, steps)
  const move = fc.record({
    rank: fc.nat(2),
    shard: fc.nat(1),
    act: fc.constantFrom('push', 'push', 'push', 'scan', 'scan', 'die', 'deliver', 'lose', 'repeat'),
  })
  fc.assert(
    fc.property(fc.array(move, { minLength: 200, maxLength: 200 }), moves => {
      const cluster = new ShardCluster(options)
      // Where each rank stands: the step it computes, and the shards it has committed it to.
      const at = Array.from({ length: 3 }, () => ({ step: 0, done: new Set<number>() }))
      const play = ({ rank, shard, act }: (typeof moves)[number]): void => {
        const me = at[rank]!
        if (act === 'scan') cluster.scan(shard)
        else if (act === 'deliver') cluster.deliverNorms()
        else if (act === 'lose') cluster.norms.pop()
        else if (act === 'repeat') {
          for (const norms of cluster.shards[shard]!.openNorms) cluster.shards[1 - shard]!.takeNorms(norms)
        } else if (act === 'die') {
          me.step = cluster.enlist(rank)
          me.done = new Set()
        } else {
          if (cluster.shards.every(s => s.version > me.step)) {
            me.step += 1
            me.done = new Set()
          }
          const pulled = cluster.shards.every(s => s.version >= me.step)
          if (pulled && me.step < steps && !me.done.has(shard)) {
            cluster.push(rank, me.step, [shard])
            me.done.add(shard)
          }
        }
      }
      for (const each of moves) play(each)
      // Whatever is left happens without deaths and losses.
      for (let round = 0; round < 400 && cluster.shards.some(s => s.version < steps); round++) {
        const [rank, shard] = [round % 3, Math.floor(round / 3) % 2]
        for (const act of ['push', 'scan', 'repeat'] as const) play({ rank, shard, act })
      }
      if (cluster.hashes().join() !== expected.hashes().join()) throw new Error('other weights or slots')
      if (cluster.history().join() !== expected.history().join()) throw new Error('another history')
      if (cluster.refused.some(({ sameBits }) => sameBits === false)) throw new Error('a repeat differs')
    }),
    { numRuns: 60 },
  )
})

t.test(
  'a worker that dies between its pushes: the first push counts, the repeated one is compared',
  async t => {
    const cluster = new ShardCluster({ shards: 2 })
    cluster.push(0, 0)
    cluster.push(1, 0, [0])
    cluster.settle()
    t.equal(cluster.shards[0]!.version, 1, 'shard 0 has all pushes')
    t.equal(cluster.shards[1]!.version, 0, 'shard 1 waits')
    t.equal(cluster.enlist(1), 0, 'the successor computes the step again')
    cluster.push(1, 0)
    cluster.settle()
    t.strictSame(cluster.refused, [{ rank: 1, step: 0, verdict: 'duplicate' }])
    t.equal(cluster.shards[1]!.version, 1)

    cluster.push(1, 1, [0])
    cluster.settle()
    t.equal(cluster.enlist(1), 1)
    cluster.push(1, 1)
    cluster.settle()
    t.match(cluster.refused.at(-1), { verdict: 'duplicate', sameBits: true })
    t.equal(cluster.enlist(1), 2, 'a successor that dies before step 2 finds both shards at 2')
  },
)

t.test('a repeated push with other bits is noticed, and does not count', async t => {
  const rows = (): number => 8
  const cluster = new ShardCluster({ rows })
  cluster.push(1, 0)
  cluster.settle()
  cluster.enlist(1)
  cluster.push(1, 0)
  cluster.ranks[1]!.slices(0)[0]![0]!.target[0]! += 1
  cluster.settle()
  t.match(cluster.refused, [{ rank: 1, step: 0, verdict: 'duplicate', sameBits: false }])
  cluster.push(0, 0)
  cluster.settle()
  t.strictSame(cluster.hashes(), trained({ rows }, 1).hashes())
})

t.test('what a predecessor commits after its successor was enlisted has no effect', async t => {
  const cluster = new ShardCluster({})
  cluster.join(1, 0)
  const old = cluster.ranks[1]!
  const worker = cluster.worker(1)
  cluster.enlist(1)
  old.push({ step: 0, part: 0, rows: 8 }, [1, 1])
  cluster.push(0, 0)
  cluster.settle()
  const [shard] = cluster.shards
  t.equal(shard!.version, 0)
  t.throws(() => shard!.attach(worker, 0, ADAM, old.region.buffer), { code: 'ERR_STALE_INCARNATION' })
  const mine = cluster.worker(1)
  t.throws(() => shard!.attach(mine, 0, ADAM, old.region.buffer), { code: 'ERR_STALE_INCARNATION' })
  for (const use of [
    () => shard!.enlist({ ...mine, generation: 3 }),
    () => shard!.define({ ...mine, generation: 3 }, 0, ADAM, []),
    () => shard!.attach({ ...mine, generation: 5 }, 0, ADAM, old.region.buffer),
    () => shard!.onceKeep({ ...mine, generation: 3 }, 'k', 1),
    () => shard!.takeNorms({ generation: 3, shard: 1, rank: null, incarnation: 0, step: 0, sums: [] }),
  ]) {
    t.throws(use, { code: 'ERR_STALE_GENERATION' })
  }
})

t.test(
  'memory of a dead worker: its blocks are another’s only when its thread is gone and no step needs them',
  async t => {
    const cluster = new ShardCluster({})
    const [shard] = cluster.shards
    cluster.train(1)
    const before = shard!.usedBytes
    const dead = cluster.ranks[1]!
    cluster.push(1, 1)
    cluster.settle()
    cluster.enlist(1)
    cluster.push(1, 1)
    t.ok(shard!.usedBytes > before, 'the successor has blocks of its own')
    cluster.settle()
    t.ok(shard!.usedBytes > before, 'its thread may still be writing')
    dead.region.markExited()
    cluster.settle()
    t.ok(shard!.usedBytes > before, 'the open step needs its push')
    cluster.push(0, 1)
    cluster.settle()
    cluster.settle()
    t.equal(shard!.usedBytes, before)
    const idle = cluster.ranks[1]!.region
    cluster.enlist(1)
    cluster.join(1, 0)
    cluster.settle()
    t.ok(shard!.usedBytes > before, 'no step needs it, but its thread may still be writing')
    idle.markExited()
    cluster.settle()
    t.equal(shard!.usedBytes, before)
    for (let i = 0; i < 50; i++) {
      const { region } = cluster.ranks[1]!
      cluster.enlist(1)
      region.markExited()
      cluster.join(1, 0)
    }
    t.equal(shard!.usedBytes, before, 'however often it dies')
  },
)

t.test('versions: only what a step updates moves, and the version before stays readable', async t => {
  const cluster = new ShardCluster({ ...GAN, shards: 2, ranks: 1, rows: () => 4 })
  cluster.train(3)
  cluster.join(0, 1)
  const [exchange] = cluster.ranks
  const values = (part: number, version: number): string[] => {
    exchange!.pull(part, version)
    return exchange!.slices(part).map(slices => slices.map(({ pulled }) => pulled.join()).join())
  }
  const [kernel, ...others] = values(0, 3)
  const late = values(1, 3)[1]!
  cluster.train(4)
  t.ok(values(0, 3)[0] === kernel, 'version 3 is untouched by version 4')
  t.ok(values(0, 4).slice(1).join() === others.join(), 'the other part did not move these')
  t.notOk(values(0, 4)[0] === kernel, 'both parts train it')
  t.notOk(values(1, 4)[1] === late)
})

t.test('answers: loss and metrics over all ranks; state is a mean over rows; waits end', async t => {
  const cluster = new ShardCluster({ shards: 2, rows: (_, rank) => rank * 8 })
  cluster.train(1)
  const [exchange] = cluster.ranks
  t.strictSame(exchange!.answer(1), { part: 0, rows: 8, outputs: Float32Array.of(1, 0.1) })
  exchange!.pull(0, 1)
  const state = exchange!.slices(0)[3]![0]!
  t.equal(state.pulled[2], Math.fround(Math.cos(7 + 3 + 2)), 'a rank without rows is not read')
  exchange!.wait(1)
  t.ok(cluster.isReady(0, 1))
  t.notOk(cluster.isReady(0, 2))
  cluster.shards[0]!.retire()
  t.throws(() => exchange!.wait(2), { code: 'ERR_PROGRAM_STOPPED' })
})

t.test('state on which all ranks agree does not drift by rounding', async t => {
  const cluster = new ShardCluster({ ranks: 3, rows: (_, rank) => rank + 5 })
  for (let step = 0; step < 20; step++) {
    for (let rank = 0; rank < 3; rank++) {
      cluster.push(rank, step, [])
      const exchange = cluster.ranks[rank]!
      exchange.slices(0)[3]![0]!.target.fill(0.1)
      exchange.push({ step, part: 0, rows: rank + 5 }, [0, 0])
    }
    cluster.settle()
  }
  cluster.ranks[0]!.pull(0, 20)
  t.equal(cluster.ranks[0]!.slices(0)[3]![0]!.pulled[0], Math.fround(0.1))
})

t.test('ranks that train something else are told so, with both lists', async t => {
  const cluster = new ShardCluster(GAN)
  cluster.join(0, 1)
  const [shard] = cluster.shards
  const other = {
    ...ADAM,
    variables: [...ADAM.variables.slice(0, 1), { name: 'bias', shape: [6], trainable: true }],
  }
  const { buffer } = cluster.ranks[1]!.region
  t.throws(() => shard!.attach(cluster.worker(1), 0, other, buffer), {
    code: 'ERR_RANKS_DIVERGED',
    message:
      /bias\[6\] instead of bias\[50\]. The job has \[kernel\[90x50\], bias\[50\], wide\[700\], mean\[30\] \(state\)\]; rank 1 has/,
  })
  const slower = { ...ADAM, optimizer: optimizerSpec('adam-0', 'adam', 0.5) }
  t.throws(() => shard!.attach(cluster.worker(1), 0, slower, buffer), { message: /learningRate=0.5/ })
  cluster.push(0, 0)
  cluster.join(1, 1)
  cluster.ranks[1]!.push({ step: 0, part: 1, rows: 8 }, [1])
  t.throws(() => shard!.scan(), {
    code: 'ERR_RANKS_DIVERGED',
    message:
      /in step 1 rank 1 used optimizer momentum-0 on 2 variables \(kernel, …\), rank 0 optimizer adam-0 on 4/,
  })
})

t.test('a rank that ends while others make a step is named', async t => {
  const cluster = new ShardCluster({})
  cluster.train(2)
  cluster.shards[0]!.finish(cluster.worker(1))
  cluster.push(0, 2)
  t.throws(() => cluster.shards[0]!.scan(), { message: /rank 1 ended after 2 steps, but rank 0 made step 3/ })
})

t.test('phases: counted over all incarnations of a rank', async t => {
  const cluster = new ShardCluster({ ranks: 1 })
  cluster.join(0, 0)
  cluster.ranks[0]!.region.spend('compute', 5)
  cluster.enlist(0)
  cluster.join(0, 0)
  cluster.ranks[0]!.region.spend('compute', 2)
  cluster.ranks[0]!.region.spend('pull', 1)
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
