// What every place for checkpoints promises, whatever it is made of: run against local disk, HDFS, faulty files.
import type { Test } from 'tap'
import { CheckpointStore, FaultyFiles, type CheckpointFiles } from '../../src/checkpoint/index.js'
import { SeededRandom } from '../../src/determinism/index.js'
import { FACTS, holds, save, seedOf } from './checkpoint-sample.js'

/** A new place, with nothing in it. */
export type NewPlace = () => Promise<CheckpointFiles>

let seeds = 0
const storeOn = (files: CheckpointFiles): CheckpointStore =>
  new CheckpointStore(files, { random: new SeededRandom(++seeds) })

export async function checkpointContract(t: Test, name: string, newPlace: NewPlace): Promise<void> {
  await t.test(
    `${name}: files are written once, read by parts, listed, renamed exclusively, removed`,
    async t => {
      const files = await newPlace()
      t.equal(await files.stat(''), undefined, 'need not be there')
      t.equal(await files.list(''), undefined)
      await files.makeDirectory('full')
      await files.makeDirectory('other/deep')
      await files.makeDirectory('full')
      for (const [path, text] of [
        ['full/one', 'y'],
        ['other/two', 'zz'],
        ['new', 'some bytes'],
        ['empty', ''],
      ] as const) {
        const sink = await files.create(path)
        // In two pieces, from memory that is used again.
        const piece = new Uint8Array(4)
        for (let at = 0; at < text.length; at += 4) {
          const part = piece.subarray(0, Math.min(4, text.length - at))
          part.set(Buffer.from(text.slice(at, at + 4)))
          await sink.write(part)
          part.fill(0)
        }
        await sink.close()
      }
      t.equal(Buffer.from(await files.read('new', 2, 100)).toString(), 'me bytes')
      t.equal(Buffer.from(await files.read('new', 3, 4)).toString(), 'e by')
      t.equal((await files.read('new', 10, 5)).byteLength, 0)
      t.equal((await files.read('new', 100, 5)).byteLength, 0)
      t.equal((await files.read('empty', 0, 5)).byteLength, 0)
      t.match(await files.stat('new'), { directory: false, bytes: 10 })
      t.match(await files.stat('full'), { directory: true, bytes: 0 })
      t.equal(await files.stat('no/where'), undefined)
      t.equal(await files.stat('new/below'), undefined)
      t.equal(await files.list('new'), undefined)
      t.same(await files.list(''), [
        { name: 'empty', directory: false, bytes: 0 },
        { name: 'full', directory: true, bytes: 0 },
        { name: 'new', directory: false, bytes: 10 },
        { name: 'other', directory: true, bytes: 0 },
      ])
      t.equal(await files.renameExclusive('full', 'other'), 'exists', 'a folder that is not empty')
      t.equal(await files.renameExclusive('full', 'new'), 'exists', 'a file')
      t.equal(await files.renameExclusive('full', 'no/where'), 'missing')
      t.equal(await files.renameExclusive('nothing', 'there'), 'missing')
      t.equal(await files.renameExclusive('full', 'moved'), 'done')
      await t.rejects(files.create('new'), { code: 'ERR_CHECKPOINT_EXISTS' })
      await t.rejects(files.create('no/where'), { code: 'ERR_CHECKPOINT_MISSING' })
      await t.rejects(files.read('nothing', 0, 1), { code: 'ERR_CHECKPOINT_MISSING' })
      await t.rejects(files.read('moved', 0, 1), { code: 'ERR_CHECKPOINT_UNREADABLE' }, 'a folder')
      await t.rejects(files.makeDirectory('new'), { code: 'ERR_CHECKPOINT_EXISTS' })
      await t.rejects(files.syncDirectory('nothing'), { code: 'ERR_CHECKPOINT_MISSING' })
      for (const path of ['../x', 'a//b', '/etc', './x']) {
        await t.rejects(files.makeDirectory(path), { code: 'ERR_CHECKPOINT_IO' }, path)
      }
      await files.syncDirectory('moved')
      for (const path of ['moved', 'moved', 'other', 'new']) await files.remove(path)
      t.same(
        (await files.list(''))?.map(entry => entry.name),
        ['empty'],
      )
    },
  )

  await t.test(
    `${name}: checkpoints are found by generation and step, and come back bit for bit`,
    async t => {
      const files = await newPlace()
      const store = storeOn(files)
      for (const [generation, step] of [
        [1, 10],
        [1, 20],
        [2, 15],
      ] as const) {
        if (generation === 2) await store.closeGeneration(1)
        t.match(await save(store, generation, step), { outcome: 'committed', entry: { generation, step } })
      }
      t.same(
        (await store.list()).map(({ directory }) => directory),
        ['g0002/step-000000015', 'g0001.closed/step-000000020', 'g0001.closed/step-000000010'],
      )
      for (const entry of await store.list()) {
        const verification = await store.verify(entry)
        t.ok(verification.ok && (await holds(verification.checkpoint, seedOf(entry.generation, entry.step))))
      }
      t.equal((await save(store, 2, 15)).outcome, 'lost', 'the first counts')
      const { removed } = await store.retain({ keepLast: 1 })
      t.equal(removed.length, 2)
      t.same(
        (await files.list('g0001.closed'))?.map(entry => entry.name),
        ['.tmp'],
      )
      t.same(await files.list('g0001.closed/.tmp'), [])
      t.same(await files.list('g0002/.tmp'), [])
    },
  )

  await t.test(`${name}: a generation that was closed takes nothing, wherever its writer stands`, async t => {
    const files = await newPlace()
    const rounds = [0, 1, 2, 3].entries()
    for (const [generation, when] of rounds) {
      const late = storeOn(files)
      const attempt = await late.beginAttempt(generation, 10)
      if (when > 0) await attempt.writeShard(0, 1, [])
      if (when > 1) await attempt.writeState(new Uint8Array(9))
      await storeOn(files).closeGeneration(generation)
      const outcome = await (async () => {
        if (when < 1) await attempt.writeShard(0, 1, [])
        if (when < 2) await attempt.writeState(new Uint8Array(9))
        return (await attempt.commit(FACTS)).outcome
      })().catch((error: unknown) => (error as { code?: string }).code)
      t.ok(outcome === 'closed' || outcome === 'ERR_CHECKPOINT_CLOSED', `${when}: ${outcome ?? ''}`)
      await t.rejects(late.beginAttempt(generation, 20), { code: 'ERR_CHECKPOINT_CLOSED' })
    }
    t.same(await storeOn(files).list(), [])
    // The bare rename, which all of this rests on.
    await files.makeDirectory('g0009/.tmp/step')
    await files.makeDirectory('g0009.closed/.tmp')
    t.equal(await files.renameExclusive('g0009', 'g0009.closed'), 'exists')
    await files.remove('g0009.closed')
    t.equal(await files.renameExclusive('g0009', 'g0009.closed'), 'done')
    t.equal(await files.renameExclusive('g0009/.tmp/step', 'g0009/step'), 'missing')
  })

  await t.test(
    `${name}: a writer that stops at any point, and torn writes, leave the one before`,
    async t => {
      const inner = await newPlace()
      await save(storeOn(inner), 1, 10)
      let counted = 0
      const kinds = new Set<string>()
      await save(storeOn(new FaultyFiles(inner, () => void counted++)), 1, 11)
      for (let index = 0; index < counted; index++) {
        const step = 20 + index
        const files = new FaultyFiles(inner, operation =>
          operation.index === index ? { kind: 'stop', torn: true } : undefined,
        )
        const error = await save(storeOn(files), 1, step).then(
          () => undefined,
          (failure: unknown) => failure,
        )
        const [fired] = files.fired
        kinds.add(fired?.operation.kind ?? '')
        const { checkpoint, skipped } = await storeOn(inner).newest()
        // The rename is the last that counts: what stops behind it is there, though nobody was told.
        const found = checkpoint?.entry.step === step
        const whole = checkpoint !== undefined && (await holds(checkpoint, seedOf(1, checkpoint.entry.step)))
        if (skipped.length > 0 || !whole || (!found && error === undefined)) {
          t.fail(`operation ${index}: found ${found}, whole ${whole}, ${skipped.length} skipped`)
        }
      }
      t.same([...kinds].sort(), ['close', 'create', 'makeDirectory', 'rename', 'stat', 'sync', 'write'])
      const swept = await storeOn(inner).sweep(0)
      t.ok(swept.length > 5, `${swept.length} attempts`)
      t.same(await inner.list('g0001/.tmp'), [])
    },
  )
}

/** Two writers commit the same steps at the same moment; each step must have one winner, whose content is there. */
export async function raceContract(t: Test, name: string, newPlace: NewPlace, rounds: number): Promise<void> {
  await t.test(`${name}: of two that commit the same step one wins, ${rounds} times`, async t => {
    const files = await newPlace()
    const stores = [storeOn(files), storeOn(files)]
    const wins = [0, 0]
    const wrong: string[] = []
    for (let step = 1; step <= rounds; step++) {
      const attempts = await Promise.all(
        stores.map(async (store, racer) => {
          const attempt = await store.beginAttempt(1, step)
          await Promise.all([attempt.writeShard(0, 1, []), attempt.writeState(Uint8Array.of(racer))])
          return attempt
        }),
      )
      const outcomes = await Promise.all(attempts.map(async attempt => (await attempt.commit(FACTS)).outcome))
      const winner = outcomes.indexOf('committed')
      wins[winner]!++
      if (outcomes.toSorted().join() !== 'committed,lost') wrong.push(`step ${step}: ${outcomes.join()}`)
      const { checkpoint, skipped } = await stores[0]!.newest()
      const [content] = (await checkpoint?.readState()) ?? []
      if (checkpoint?.entry.step !== step || skipped.length > 0 || content !== winner) {
        wrong.push(`step ${step}: not the winner's`)
      }
      if (step % RETAIN_EVERY === 0) await stores[0]!.retain({ keepLast: 1 }, 'lengths')
    }
    t.same(wrong, [])
    t.equal(wins[0]! + wins[1]!, rounds, wins.join(' to '))
    t.same(await files.list('g0001/.tmp'), [])
  })
}

const RETAIN_EVERY = 20
