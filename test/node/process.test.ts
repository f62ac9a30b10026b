import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { openSlots, SLOT_BYTES, SLOTS } from '../../src/node/isolation/bulk-slots.js'
import type { IsolationMessage } from '../../src/node/isolation/isolation-protocol.js'
import { MessageLink } from '../../src/node/isolation/message-link.js'
import { BULK_BYTES } from '../../src/node/isolation/transferable.js'
import { spawnProcess } from '../../src/node/process-boot.js'
import { Rogue } from '../helpers/actors/rogue.js'
import { show } from '../helpers/isolation.js'
import { until } from '../helpers/runtime.js'

t.setTimeout(180_000)

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

t.test('a crash of its process is a failure of the actor, whose reason names the signal', async t => {
  const { rogue, troupe, probe, spawn } = await show(t, 'process')
  const watcher = await spawn({ name: 'w' }, { notes: false })
  await watcher.ask.watch(rogue)

  await t.test('a native abort', async t => {
    await t.rejects(rogue.ask.abort(), {
      code: 'ERR_ACTOR_FAILED',
      cause: { code: 'ERR_PROCESS_EXITED', data: { path: '/rogue', signal: 'SIGABRT' } },
    })
    t.equal(await rogue.ask.count(), 1, 'a new process')
  })

  for (const signal of ['SIGSEGV', 'SIGKILL']) {
    await t.test(`a ${signal}`, async t => {
      await t.rejects(rogue.ask.signal(signal), {
        code: 'ERR_ACTOR_FAILED',
        cause: {
          code: 'ERR_PROCESS_EXITED',
          message: new RegExp(`was ended by ${signal}`),
          data: { signal },
        },
      })
      t.equal(await rogue.ask.count(), 1)
    })
  }

  await t.test('signals that end a whole group are for its parent', async t => {
    const count = await rogue.ask.count()
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) await rogue.ask.signal(signal)
    t.equal(await rogue.ask.count(), count + 1, 'it lives')
  })

  await t.test('also while nothing is under way', async t => {
    const pid = await rogue.ask.pid()
    const restarts = troupe.runtime.find('/rogue')?.restarts ?? 0
    process.kill(pid, 'SIGBUS')
    await until(() => troupe.runtime.find('/rogue')?.restarts === restarts + 1)
    t.not(await rogue.ask.pid(), pid)
    t.match(troupe.runtime.find('/rogue')?.lastFailure, { data: { signal: 'SIGBUS' } })
  })

  await t.test('one that is not started again is seen to die of it', async t => {
    const once = await troupe.spawn(Rogue, { name: 'once', isolation: 'process', restart: 'temporary' })
    const dead = troupe.whenTerminated(once)
    once.tell.abort()
    t.match((await dead).reason, { kind: 'failed', cause: { data: { signal: 'SIGABRT' } } })
    t.same(await probe.ask.take(), [], 'restarts of the other were no deaths')
  })
})

t.test('no process is left when its actor has ended, however', async t => {
  const { rogue, troupe } = await show(t, 'process', { shutdownMs: 200 })
  const pids = [await rogue.ask.pid()]
  troupe.kill(rogue)
  pids.push(await rogue.ask.pid())
  await troupe.stop(rogue)
  const spinning = await troupe.spawn(Rogue, { name: 'spinning', isolation: 'process' })
  pids.push(await spinning.ask.pid())
  spinning.tell.spin()
  await until(() => troupe.runtime.find('/spinning')?.mailboxMessages === 0)
  troupe.kill(troupe.lookup(Rogue, '/spinning'))
  pids.push(await spinning.ask.pid())
  await troupe.close()
  t.equal(new Set(pids).size, 4)
  await until(() => !pids.some(isAlive))
})

t.test(
  'a process ends with its parent, even when that is killed and its own event loop is blocked',
  async t => {
    const main = new URL('../fixtures/processes/parent.ts', import.meta.url)
    for (const blocked of ['no', 'yes']) {
      const parent = spawnProcess({ main, descriptors: [], env: { ...process.env, BLOCKED: blocked } })
      const child = await childOf(parent)
      t.ok(isAlive(child))
      parent.kill('SIGKILL')
      await until(() => !isAlive(child))
      t.pass(blocked === 'yes' ? 'blocked' : 'waiting')
    }
  },
)

t.test('what a process writes comes out of its parent, which ends when its actors have', async t => {
  const main = new URL('../fixtures/processes/parent.ts', import.meta.url)
  const parent = spawnProcess({ main, descriptors: [], env: { ...process.env, CLOSES: 'yes' } })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    parent[name]?.on('data', (data: Buffer) => void (said[name] += data.toString()))
  }
  const [exitCode] = (await once(parent, 'close')) as [number]
  t.equal(exitCode, 0)
  t.match(said, { stdout: /^from the child$/m, stderr: /^from the child$/m })
})

async function childOf(parent: ChildProcess): Promise<number> {
  let said = ''
  for await (const data of parent.stdout ?? []) {
    said += String(data)
    const [, pid] = /^child (\d+)$/m.exec(said) ?? []
    if (pid !== undefined) return Number(pid)
  }
  throw new Error(`the parent said only: ${said}`)
}

t.test('messages between processes', async t => {
  /** Both ends of a socket. */
  const sockets = async (): Promise<[Socket, Socket]> => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const [far] = (await once(server, 'connection')) as [Socket]
    server.close()
    return [near, far]
  }
  /** A file that takes no byte. */
  const openFull = (): number | undefined => {
    try {
      return openSync('/dev/full', 'r+')
    } catch {
      return undefined
    }
  }
  const sizes = [
    0,
    1,
    100,
    BULK_BYTES - 1,
    BULK_BYTES,
    SLOT_BYTES,
    SLOT_BYTES + 1,
    (SLOTS + 2) * SLOT_BYTES + 3,
  ]
  const bytes = (length: number, seed: number): Uint8Array =>
    Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 10) + seed) & 255)

  for (const memory of ['shared memory', 'the socket alone', 'the socket, as no memory is left']) {
    await t.test(`large and small ones keep their order and their bytes both ways, by ${memory}`, async t => {
      const [near, far] = await sockets()
      const fds =
        memory === 'the socket alone'
          ? []
          : [0, 1].map(() => (memory === 'shared memory' ? openSlots() : openFull()))
      const [a, b] = fds as [number?, number?]
      const files = (outgoing: number | undefined, incoming: number | undefined) =>
        outgoing === undefined || incoming === undefined ? undefined : { outgoing, incoming }
      const arrived: [IsolationMessage[], IsolationMessage[]] = [[], []]
      const ends = [
        new MessageLink(near, files(a, b), message => void arrived[0].push(message)),
        new MessageLink(far, files(b, a), message => void arrived[1].push(message)),
      ]
      const posted: IsolationMessage[] = [
        ...sizes.map((size, id): IsolationMessage => ['tell', id, bytes(size, id)]),
        ['tell', 100, ['name', 'x'.repeat(3 * SLOT_BYTES), 1, undefined, null, true]],
        ['tell', 101, { two: [bytes(BULK_BYTES, 1), new Float32Array([1, 2])], twice: bytes(BULK_BYTES, 2) }],
        ['ping', 102],
      ]
      for (const message of posted) for (const end of ends) end.post(message)
      await until(() => arrived.every(messages => messages.length === posted.length))
      for (const messages of arrived) {
        for (const [i, message] of messages.entries())
          t.ok(isDeepStrictEqual(message, posted[i]), `message ${i}`)
      }
      t.throws(() => ends[0]?.post(['log', 0, () => 1]), /could not be cloned/)
      near.destroy()
      far.destroy()
      for (const fd of fds) if (fd !== undefined) closeSync(fd)
    })
  }

  await t.test('the memory has no name that could be left behind', async t => {
    const fd = openSlots()
    const names = fd === undefined ? [] : readdirSync('/dev/shm')
    t.same(
      names.filter(name => name.startsWith(`troupe-${process.pid}-`)),
      [],
    )
    if (fd !== undefined) closeSync(fd)
  })
})
