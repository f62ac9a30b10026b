import fc from 'fast-check'
import t from 'tap'
import { decodeJobState, encodeJobState, type ModelPart, type Shard } from '../../src/training/index.js'
import { ADAM, MOMENTUM, ShardCluster, type ClusterOptions } from '../helpers/shard-cluster.js'

const STEPS = 12
const OPTIONS: ClusterOptions = {
  parts: [ADAM, MOMENTUM],
  partOf: step => (step < 4 ? 0 : step % 2),
  ranks: 3,
  cutEverySteps: 1,
}

function all(cluster: ShardCluster): unknown {
  return [cluster.hashes(), cluster.history(), cluster.shards[0]!.journal(0, STEPS)]
}

/** As it comes back from a file. */
function stored(cut: ReturnType<ShardCluster['takeCut']>): typeof cut {
  const facts = { name: 'j', workers: 3, seed: 1, moduleSha256: null, args: {} }
  const { training } = decodeJobState(encodeJobState({ facts, training: cut.state }))
  return { state: training, pieces: cut.pieces }
}

/** Trains up to a step, taking each cut as it comes; returns that of one version. */
function trainedTo(
  cluster: ShardCluster,
  step: number,
  version: number,
): ReturnType<ShardCluster['takeCut']> {
  let kept: ReturnType<ShardCluster['takeCut']> | undefined
  for (let at = 0; at <= step; at++) {
    if (at > 0) cluster.train(at, at - 1)
    else {
      cluster.join(0, 0)
      cluster.settle()
    }
    const cut = cluster.takeCut(at)
    if (at === version) kept = stored(cut)
  }
  return kept!
}

t.test(
  'cuts: whatever is restored, whenever, wherever, onto any number of shards, goes on bit-equal',
  async () => {
    const undisturbed = new ShardCluster({ ...OPTIONS, shards: 1 })
    undisturbed.train(STEPS)
    const expected = JSON.stringify(all(undisturbed))
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(STEPS),
        fc.nat(STEPS),
        (before, after, a, b) => {
          const [version, lost] = [Math.min(a, b), Math.max(a, b)]
          const old = new ShardCluster({ ...OPTIONS, shards: before })
          const cut = trainedTo(old, lost, version)
          const resumed = new ShardCluster({ ...OPTIONS, shards: after, generation: old.generation + 1 })
          for (const shard of resumed.shards) shard.restore(old.generation + 1, cut.state, cut.pieces)
          resumed.closed = old.closed.slice(0, version)
          for (let rank = 0; rank < 3; rank++) {
            if (resumed.enlist(rank) !== version) throw new Error('another step is expected')
          }
          resumed.train(STEPS)
          if (JSON.stringify(all(resumed)) !== expected) {
            throw new Error(`${before} shards to ${after}, cut at ${version}, lost at ${lost}`)
          }
        },
      ),
      { numRuns: 60 },
    )
  },
)

t.test(
  'rollback: survivors and a new shard go back together, again and again; the repeat is compared',
  async t => {
    const expected = new ShardCluster({ ...OPTIONS, shards: 3 })
    expected.train(STEPS)
    const cluster = new ShardCluster({ ...OPTIONS, shards: 3 })
    const cut = trainedTo(cluster, 7, 5)
    const stale = cluster.worker(1)
    const old = cluster.ranks[1]!
    const before = cluster.closed.slice(0, 5)
    // A server dies while the job still recovers from another's death.
    cluster.restore(cut, [1])
    cluster.restore(cut, [2])
    t.equal(cluster.generation, 6)
    for (const shard of cluster.shards) t.equal(shard.version, 5)
    cluster.closed = [...before]
    old.push({ step: 7, part: 1, rows: 8 }, [0])
    t.throws(() => cluster.shards[0]!.enlist(stale), { code: 'ERR_STALE_GENERATION' })
    t.throws(() => old.wait(8), { code: 'ERR_PROGRAM_STOPPED' })
    cluster.train(STEPS)
    t.strictSame(cluster.hashes(), expected.hashes())
    t.strictSame(cluster.history(), expected.history())
    t.strictSame(
      cluster.closed.map(({ step, repeated }) => [step, repeated]).slice(5),
      [5, 6, 7, 8, 9, 10, 11].map(step => [step, step < 7 ? 'same' : undefined]),
    )
    t.throws(() => cluster.shards[0]!.restore(6, cut.state, cut.pieces), { code: 'ERR_STALE_GENERATION' })
  },
)

t.test('rollback: a step that comes out otherwise is told', async t => {
  let twist = 0
  const cluster = new ShardCluster({
    shards: 1,
    cutEverySteps: 2,
    rows: step => (step === 3 ? 8 + twist : 8),
  })
  cluster.train(4)
  const cut = cluster.takeCut(2)
  twist = 1
  cluster.restore(cut)
  cluster.closed = []
  cluster.train(5)
  t.strictSame(
    cluster.closed.map(({ repeated }) => repeated),
    ['same', 'different', undefined],
  )
})

t.test('rollback: to before a part was named; the chief brings its values again', async t => {
  const cluster = new ShardCluster({ ...OPTIONS, shards: 2 })
  const cut = trainedTo(cluster, 8, 3)
  t.equal(cluster.shards[0]!.parts, 2)
  cluster.restore(cut)
  t.equal(cluster.shards[0]!.parts, 1)
  cluster.closed = cluster.closed.slice(0, 3)
  cluster.train(STEPS)
  const expected = new ShardCluster({ ...OPTIONS, shards: 2 })
  expected.train(STEPS)
  t.strictSame(cluster.hashes(), expected.hashes())
})

t.test('a cut that is asked for happens two steps later, on all shards at once', async t => {
  for (const asked of [0, 1, 5]) {
    const cluster = new ShardCluster({ shards: 3 })
    cluster.train(asked)
    cluster.shards[0]!.requestCut()
    cluster.shards[0]!.requestCut()
    cluster.train(asked + 6)
    const versions = [...cluster.cuts].map(([version, parts]) => [version, parts.length])
    t.strictSame(versions, [
      [0, 3],
      [asked + 2, 3],
    ])
  }
})

t.test('a cut that is asked for: deaths on the way to it change nothing', async () => {
  const move = fc.record({
    rank: fc.nat(1),
    shard: fc.nat(1),
    act: fc.constantFrom('push', 'push', 'scan', 'die', 'ask'),
  })
  fc.assert(
    fc.property(fc.array(move, { maxLength: 120 }), moves => {
      const cluster = new ShardCluster({ shards: 2 })
      const at = [
        { step: 0, done: new Set<number>() },
        { step: 0, done: new Set<number>() },
      ]
      for (const { rank, shard, act } of moves) {
        const me = at[rank]!
        if (act === 'scan') cluster.scan(shard)
        else if (act === 'ask') cluster.shards[0]!.requestCut()
        else if (act === 'die') {
          me.step = cluster.enlist(rank)
          me.done = new Set()
        } else {
          if (cluster.shards.every(s => s.version > me.step)) {
            me.step += 1
            me.done = new Set()
          }
          if (!cluster.shards.every(s => s.version >= me.step) || me.done.has(shard)) continue
          cluster.push(rank, me.step, [shard])
          me.done.add(shard)
        }
        for (const [version, parts] of cluster.cuts) {
          if (parts.length === 2) for (const s of cluster.shards) s.releaseCut({ generation: 4, version })
        }
      }
      for (const s of cluster.shards.keys()) cluster.scan(s)
      const least = Math.min(...cluster.shards.map(s => s.version))
      for (const [version, parts] of cluster.cuts) {
        if (version <= least && parts.length !== 2)
          throw new Error(`cut ${version} has ${parts.length} parts`)
      }
    }),
    { numRuns: 200 },
  )
})

t.test('snapshots: two at a time; one that finds none free is named, and nothing waits', async t => {
  const cluster = new ShardCluster({ shards: 1, cutEverySteps: 1 })
  cluster.train(3)
  t.strictSame([...cluster.cuts.keys()], [0, 1])
  t.strictSame(cluster.skipped, [2, 3])
  const [first] = cluster.cuts.get(1)!
  const values = first!.tensors[0]!.values.slice()
  cluster.takeCut(0)
  cluster.train(5)
  t.strictSame([...cluster.cuts.keys()], [0, 1, 4])
  t.strictSame(first!.tensors[0]!.values, values, 'what was handed out stays as it was')
  t.ok(first!.tensors[0]!.values.buffer instanceof SharedArrayBuffer)
})

t.test('restore: what the snapshot lacks is named', async t => {
  const cluster = new ShardCluster({ shards: 2, cutEverySteps: 1 })
  cluster.train(1)
  const { state, pieces } = cluster.takeCut(1)
  const [shard] = new ShardCluster({ shards: 2, generation: 5 }).shards
  const needs = (shard as Shard).restoreNeeds(state)
  t.same([...new Set(needs.map(({ kind }) => kind))], ['weights', 'adam-0/m', 'adam-0/v'])
  const without = pieces.filter(({ kind }) => kind !== 'adam-0/v')
  t.throws(() => shard!.restore(5, state, without), {
    code: 'ERR_STATE_LOST',
    message: /adam-0\/v of variable \w+ in the snapshot lacks the elements/,
  })
  t.throws(() => shard!.restore(5, { ...state, ranks: 3 }, pieces), {
    code: 'ERR_RESUME',
    message: /3 workers/,
  })
  t.throws(() => shard!.restore(5, { ...state, staleness: 2 }, pieces), { code: 'ERR_RESUME' })
  t.equal(shard!.version, 0, 'nothing has changed')
})

t.test('journal and results of once belong to the cut', async t => {
  const cluster = new ShardCluster({ shards: 1, cutEverySteps: 2, journalMaxSteps: 3 })
  const [shard] = cluster.shards
  cluster.train(2)
  const cut = cluster.takeCut(2)
  t.strictSame(cut.state.onces, [])
  const chief = cluster.worker(0)
  t.equal(shard!.onceKeep(chief, '2/save/0', { path: 'a' }), shard!.onceKeep(chief, '2/save/0', 'second'))
  shard!.keepEpoch(chief, { epoch: 0, step: 2, logs: { loss: 1 } })
  cluster.takeCut(0)
  cluster.train(4)
  cluster.takeCut(4)
  cluster.train(6)
  const later = cluster.takeCut(6)
  t.strictSame(later.state.onces, [['2/save/0', { path: 'a' }]])
  t.match(later.state.journals, [{ first: 3, steps: 6, epochs: [{ epoch: 0, step: 2 }] }])
  cluster.restore(stored(later))
  t.strictSame(shard!.onceFind('2/save/0'), { value: { path: 'a' } })
  t.match(shard!.journal(1, 6), { first: 3, steps: 6, epochs: [{ epoch: 0 }] })
  cluster.restore(stored(cut))
  t.equal(shard!.onceFind('2/save/0'), undefined, 'it happens again')
  t.strictSame(shard!.journal(0, 6).epochs, [])
})

t.test('a variable may be trained by one part and be state of another', async t => {
  const frozen: ModelPart = {
    ...MOMENTUM,
    variables: [MOMENTUM.variables[1]!, { name: 'kernel', shape: [90, 50], trainable: false }],
  }
  const options: ClusterOptions = { ...OPTIONS, parts: [ADAM, frozen], rows: () => 4 }
  const one = new ShardCluster({ ...options, shards: 1 })
  one.train(STEPS)
  for (const shards of [2, 3]) {
    const other = new ShardCluster({ ...options, shards })
    other.train(STEPS)
    t.strictSame(other.hashes(), one.hashes())
  }
})
