import fc from 'fast-check'
import t from 'tap'
import { JournalReader, optimizerSpec, type ModelPart, type ShardCut } from '../../src/training/index.js'
import { ADAM, MOMENTUM, ShardCluster, type ClusterOptions } from '../helpers/shard-cluster.js'

const CLIPPED: ModelPart = {
  ...ADAM,
  optimizer: optimizerSpec('adam-0', 'adam', { learningRate: 0.01, globalClipNorm: 2 }),
}
const OPTIONS = { parts: [CLIPPED, MOMENTUM], partOf: (step: number) => step % 2, shards: 2, ranks: 3 }

interface Move {
  readonly rank: number
  readonly shard: number
  readonly act: 'push' | 'scan' | 'die' | 'deliver' | 'repeat' | 'cut'
}

/** Ranks that make their steps each for itself, under deaths, with norms that get lost and repeated. */
class Play {
  readonly cluster: ShardCluster
  readonly steps: number
  readonly at: { step: number; done: Set<number>; gone: boolean }[]
  /** How far a rank was ahead of the slowest when it began a step. */
  lead = 0
  readonly markers = new Set<number>()

  constructor(options: ClusterOptions, steps: number) {
    this.cluster = new ShardCluster(options)
    this.steps = steps
    this.at = Array.from({ length: 3 }, () => ({ step: 0, done: new Set<number>(), gone: false }))
  }

  play({ rank, shard, act }: Move): void {
    const { cluster } = this
    const me = this.at[rank]!
    if (act === 'scan') cluster.scan(shard)
    else if (act === 'deliver') cluster.deliverNorms()
    else if (act === 'cut') cluster.shards[0]!.requestCut()
    else if (act === 'repeat') {
      for (const norms of cluster.shards[shard]!.openNorms) cluster.shards[1 - shard]!.takeNorms(norms)
      if (shard === 0) cluster.shards[1]!.marker.hear(cluster.shards[0]!.marker.raised)
    } else if (act === 'die') {
      if (me.gone) return
      cluster.ranks[rank]!.region.markExited()
      me.step = cluster.enlist(rank)
      me.done = new Set()
      const { steps } = cluster.shards[0]!.journal(rank, me.step)
      if (steps !== me.step) throw new Error(`a successor at step ${me.step} replays ${steps}`)
    } else this.#push(rank, shard)
    this.#lower()
  }

  /** Whatever is left happens without deaths and losses. */
  finish(): void {
    for (let round = 0; round < 3000 && this.at.some(({ step }) => step < this.steps); round++) {
      const [rank, shard] = [round % 3, Math.floor(round / 3) % 2]
      for (const act of ['push', 'scan', 'repeat'] as const) this.play({ rank, shard, act })
    }
  }

  #push(rank: number, shard: number): void {
    const { cluster } = this
    const me = this.at[rank]!
    if (me.gone) return
    cluster.join(rank, cluster.partOf(me.step))
    if (me.step < this.steps && !me.done.has(shard) && (me.done.size > 0 || this.#begin(rank))) {
      cluster.push(rank, me.step, [shard])
      me.done.add(shard)
    } else if (me.done.size === 2 && cluster.isReady(rank, me.step + 1)) {
      me.step += 1
      me.done = new Set()
    }
    if (me.step < this.steps) return
    me.gone = true
    for (const each of cluster.shards) each.finish(cluster.worker(rank))
  }

  #begin(rank: number): boolean {
    const { step } = this.at[rank]!
    if (!this.cluster.isReady(rank, step)) return false
    const [area] = this.cluster.ranks[rank]!.areas
    const live = [0, 1, 2].filter(other => !this.at[other]!.gone)
    this.lead = Math.max(this.lead, step - Math.min(...live.map(other => area!.applied(other))))
    return true
  }

  /** When all shards have heeded the marker, ranks go on; the memory of whole cuts is used again. */
  #lower(): void {
    const { shards } = this.cluster
    const { raised } = shards[0]!.marker
    if (raised > 0 && shards.every(({ marker }) => marker.heeded >= raised)) shards[0]!.marker.lower(raised)
    for (const [marker, parts] of cuts(this.cluster)) {
      if (this.markers.has(marker)) continue
      this.markers.add(marker)
      for (const shard of shards) shard.releaseCut(parts[0]!)
    }
  }
}

/** Whole cuts, by their marker. */
function cuts(cluster: ShardCluster): Map<number, ShardCut[]> {
  const byMarker = new Map<number, ShardCut[]>()
  for (const cut of [...cluster.cuts.values()].flat()) {
    byMarker.set(cut.marker, [...(byMarker.get(cut.marker) ?? []), cut])
  }
  for (const [marker, parts] of byMarker) if (parts.length < cluster.shards.length) byMarker.delete(marker)
  return byMarker
}

const moves = fc.array(
  fc.record({
    rank: fc.nat(2),
    shard: fc.nat(1),
    act: fc.constantFrom<Move['act']>(
      'push',
      'push',
      'push',
      'push',
      'scan',
      'scan',
      'deliver',
      'repeat',
      'die',
      'cut',
    ),
  }),
  { minLength: 100, maxLength: 250 },
)

/** Each rank's journal must have each of its steps once, with what it pushed. */
function checkJournals(cluster: ShardCluster, steps: readonly number[]): void {
  for (const [rank, most] of steps.entries()) {
    const image = cluster.shards[0]!.journal(rank, Infinity)
    if (image.steps !== most) throw new Error(`rank ${rank} has ${image.steps} steps, not ${most}`)
    const reader = new JournalReader(image)
    for (let step = 0; step < most; step++) {
      const { part, outputs, rows } = reader.entry(step)!
      const right = part === step % 2 && outputs[0] === Math.fround(1 / (step + 1))
      if (!right || rows !== ((step + rank) % 3) * 8) throw new Error(`rank ${rank}, step ${step}`)
    }
  }
}

t.test(
  'loose modes: each step of each rank is applied once on every shard, and nobody runs too far ahead',
  async t => {
    const leads: number[] = []
    for (const staleness of [1, 2, Infinity]) {
      let lead = 0
      fc.assert(
        fc.property(moves, moves => {
          const play = new Play({ ...OPTIONS, staleness }, 6)
          for (const move of moves) play.play(move)
          play.finish()
          const { cluster } = play
          checkJournals(cluster, [6, 6, 6])
          for (const shard of cluster.shards)
            if (shard.version !== 18) throw new Error(`version ${shard.version}`)
          if (play.lead > staleness) throw new Error(`a rank was ${play.lead} steps ahead`)
          lead = Math.max(lead, play.lead)
        }),
        { numRuns: 40, endOnFailure: true },
      )
      leads.push(lead)
    }
    t.strictSame(leads.slice(0, 2), [1, 2], 'as far as they may')
    const alone = new Play({ ...OPTIONS, staleness: Infinity }, 6)
    for (let round = 0; round < 100; round++) {
      for (const shard of [0, 1]) {
        for (const act of ['push', 'scan', 'deliver'] as const) alone.play({ rank: 0, shard, act })
      }
    }
    t.equal(alone.at[0]!.step, 6, 'without a bound nobody is waited for')
  },
)

t.test(
  'loose modes: a cut holds the same steps on all shards, and nothing is lost or doubled behind it',
  async t => {
    let cutCount = 0
    let restored = 0
    fc.assert(
      fc.property(moves, moves => {
        const options = { ...OPTIONS, staleness: 3, cutEverySteps: 4 }
        const play = new Play(options, 6)
        for (const move of moves) play.play(move)
        play.finish()
        const whole = [...cuts(play.cluster)].filter(([marker]) => marker > 0)
        for (const [, parts] of whole) {
          cutCount += 1
          const [{ version }] = parts as [ShardCut]
          if (parts.some(part => part.version !== version)) throw new Error('parts of different versions')
          const { state } = parts.find(part => part.state !== null)!
          const sum = state!.next.reduce((a, b) => a + b, 0)
          if (sum !== version) throw new Error(`version ${version} of ${sum} steps`)
        }
        const last = whole.at(-1)
        if (last === undefined) return
        // Its memory may have been used again by now: what is checked is which steps are in it.
        const { state } = last[1].find(part => part.state !== null)!
        const resumed = new Play({ ...options, generation: 9 }, 6)
        restored += 1
        const pieces = last[1].flatMap(({ tensors }) => tensors)
        for (const shard of resumed.cluster.shards) shard.restore(10, structuredClone(state!), pieces)
        resumed.cluster.generation = 10
        for (const [rank, me] of resumed.at.entries()) {
          me.step = resumed.cluster.enlist(rank)
          if (me.step !== state!.next[rank]) throw new Error('another step is expected')
        }
        resumed.finish()
        checkJournals(resumed.cluster, [6, 6, 6])
        for (const shard of resumed.cluster.shards)
          if (shard.version !== 18) throw new Error('another version')
      }),
      { numRuns: 40, endOnFailure: true },
    )
    t.ok(cutCount > 30, `${cutCount} cuts`)
    t.ok(restored > 5, `${restored} restored`)
  },
)

t.test(
  'loose modes: a rank that waits for others does not hold up a cut, and heeds it when it goes on',
  async t => {
    const cluster = new ShardCluster({ shards: 2, ranks: 2, staleness: 4 })
    for (const rank of [0, 1]) cluster.join(rank, 0)
    cluster.settle()
    cluster.takeCut(0)
    cluster.push(0, 0)
    cluster.settle()
    cluster.shards[0]!.requestCut()
    t.notOk(cluster.isReady(0, 1), 'rank 0 stops')
    cluster.settle()
    t.equal(cluster.cuts.size, 1, 'rank 1 goes on, so nothing is cut')
    cluster.ranks[1]!.obstacle(0)
    cluster.ranks[1]!.region.halted = 0
    let during: number[] = []
    t.notOk(cluster.isReady(1, 0))
    cluster.settle()
    during = [...cluster.cuts.keys()]
    t.strictSame(during, [0, 1])
    t.notOk(cluster.isReady(0, 1), 'until all shards have cut')
    cluster.shards[0]!.marker.lower(1)
    t.ok(cluster.isReady(0, 1))
    t.ok(cluster.isReady(1, 0))
    const parked = cluster.ranks[1]!.parked(() => {
      cluster.shards[0]!.requestCut()
      t.notOk(cluster.isReady(0, 1))
      cluster.settle()
      cluster.shards[0]!.marker.lower(2)
      return cluster.cuts.size
    })
    t.equal(parked, 2, 'the parked rank was not waited for, and the version was cut before')
  },
)

t.test('loose modes: a rank sees its own loss, and the weights of all', async t => {
  const cluster = new ShardCluster({ shards: 1, ranks: 2, staleness: Infinity, rows: () => 4 })
  cluster.push(0, 0)
  cluster.settle()
  cluster.push(1, 0)
  cluster.settle()
  t.ok(cluster.isReady(0, 1) && cluster.isReady(1, 1))
  t.strictSame(cluster.ranks[1]!.answer(1), { part: 0, rows: 4, outputs: Float32Array.of(1, 0.1) })
  for (const exchange of cluster.ranks) exchange.pull(0, 1)
  const [a, b] = cluster.ranks.map(exchange => exchange.slices(0)[0]![0]!.pulled)
  t.strictSame(a!.slice(0, 10), b!.slice(0, 10))
  t.strictSame(
    cluster.closed.map(({ rank, step }) => [rank, step]),
    [
      [0, 0],
      [1, 0],
    ],
  )
})

const NORMED: ModelPart = {
  variables: [{ name: 'kernel', shape: [64, 32], trainable: true }],
  optimizer: optimizerSpec('sgd-0', 'sgd', { learningRate: 1, globalClipNorm: 1 }),
  outputs: ['loss'],
}

/** Pushes the first step of rank 0, with a gradient that is everywhere the same. */
function pushEverywhere(cluster: ShardCluster, gradient: number): void {
  cluster.join(0, 0)
  const exchange = cluster.ranks[0]!
  for (const { target } of exchange.slices(0).flat()) target.fill(gradient)
  exchange.push({ step: 0, part: 0, rows: 4 }, [gradient])
}

function normed(): ShardCluster {
  const cluster = new ShardCluster({ shards: 2, ranks: 1, staleness: 1, parts: [NORMED] })
  cluster.join(0, 0)
  return cluster
}

/** What a shard has taken off each of its weights, which must be the same for all. */
function stepOf(cluster: ShardCluster, shard: number): number {
  const [fresh, now] = [normed(), cluster].map(({ shards }) => shards[shard]!.tensors()[0]!.values)
  const steps = fresh!.map((weight, i) => weight - now![i]!)
  const [first] = steps
  if (steps.some(step => Math.abs(step - first!) > 1e-6)) throw new Error('weights moved unevenly')
  return first!
}

t.test(
  'loose modes: a push that is taken back leaves nothing behind in the norm of its successor',
  async t => {
    const expected = normed()
    pushEverywhere(expected, 0.01)
    expected.settle()
    t.ok(Math.abs(stepOf(expected, 0) - 0.01) < 1e-6, 'below the limit nothing is clipped')
    const cluster = normed()
    pushEverywhere(cluster, 1000)
    for (const shard of [0, 1]) cluster.scan(shard)
    cluster.deliverNorms()
    t.equal(cluster.enlist(0), 0, 'no shard has made a version of it, though both know its norm')
    pushEverywhere(cluster, 0.01)
    cluster.scan(0)
    t.equal(cluster.shards[0]!.version, 0, 'what the other shard said of the one that died does not count')
    cluster.settle()
    t.strictSame(cluster.hashes(), expected.hashes())
  },
)

t.test(
  'loose modes: a step that only one shard has is made again elsewhere, with the norm of what is applied',
  async t => {
    const cluster = normed()
    const elements = cluster.shards.map(shard => shard.tensors()[0]!.values.length)
    pushEverywhere(cluster, 3)
    for (const shard of [0, 1]) cluster.scan(shard)
    const late = cluster.norms.filter(({ to }) => to === 1)
    cluster.norms = cluster.norms.filter(({ to }) => to === 0)
    cluster.deliverNorms()
    cluster.scan(0)
    t.strictSame(
      cluster.shards.map(({ version }) => version),
      [1, 0],
    )
    t.equal(cluster.enlist(0), 0)
    t.equal(cluster.shards[0]!.journal(0, 1).outputs[0], 3, 'user code of that life saw it')
    cluster.norms = late
    pushEverywhere(cluster, 0.5)
    cluster.settle()
    t.strictSame(
      cluster.shards.map(({ version }) => version),
      [1, 1],
      'nobody waits for a norm that nobody will send',
    )
    t.strictSame(
      cluster.refused.map(({ verdict }) => verdict),
      ['duplicate'],
    )
    const clipped = (gradient: number, other: number): number =>
      gradient / Math.sqrt(elements[0]! * 3 ** 2 + elements[1]! * other ** 2)
    t.ok(Math.abs(stepOf(cluster, 0) - clipped(3, 3)) < 1e-6)
    t.ok(Math.abs(stepOf(cluster, 1) - clipped(0.5, 0.5)) < 1e-6)
  },
)

t.test('loose modes: ranks that all wait for each other do not hold up a cut', async t => {
  const cluster = new ShardCluster({ shards: 2, ranks: 2, staleness: 4 })
  for (const rank of [0, 1]) cluster.join(rank, 0)
  cluster.settle()
  cluster.takeCut(0)
  cluster.cuts.clear()
  for (const rank of [0, 1]) cluster.push(rank, 0)
  cluster.settle()
  for (const rank of [0, 1]) t.ok(cluster.isReady(rank, 1))
  const [zero, one] = cluster.shards
  const leave = cluster.ranks.map(rank => rank.park()!)
  zero!.requestCut()
  cluster.settle()
  t.strictSame(
    [zero!.marker.heeded, one!.marker.heeded],
    [1, 0],
    'nobody looks whose halt would tell shard 1',
  )
  one!.marker.hear(zero!.marker.raised)
  cluster.settle()
  t.strictSame(
    [...cluster.cuts].map(([version, parts]) => [version, parts.length]),
    [[2, 2]],
  )
  for (const each of leave) each()
  t.notOk(cluster.isReady(0, 1), 'until the marker is lowered')
  zero!.marker.lower(1)
  t.ok(cluster.isReady(0, 1))
})
