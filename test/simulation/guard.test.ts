import childProcess from 'node:child_process'
import crypto, { randomUUID } from 'node:crypto'
import fs, { readFileSync } from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import zlib from 'node:zlib'
import t from 'tap'
import { hasCode, type TroupeError } from '../../src/errors.js'
import { Guard } from '../../src/simulation/guard.js'
import { impureSources, type ImpureSource } from '../../src/simulation/guard-sources.js'
import { afterTurn, settle } from '../../src/simulation/turn.js'

/** Runs `body` away from the framework's stack, under a guard; answers what was reported and what was thrown. */
async function guarded(body: () => unknown): Promise<{ reported: TroupeError[]; thrown: unknown }> {
  const reported: TroupeError[] = []
  const guard = new Guard(violation => reported.push(violation))
  return new Promise(resolve => {
    afterTurn(() => {
      let thrown: unknown
      guard.install()
      try {
        body()
      } catch (error) {
        thrown = error
      }
      guard.remove()
      resolve({ reported, thrown })
    })
  })
}

const refused: Record<string, () => unknown> = {
  'Date.now': () => Date.now(),
  'new Date()': () => new Date(),
  'Math.random': () => Math.random(),
  'performance.now': () => performance.now(),
  'process.hrtime': () => process.hrtime(),
  'process.hrtime.bigint': () => process.hrtime.bigint(),
  setTimeout: () => setTimeout(() => {}, 0),
  setInterval: () => setInterval(() => {}, 1),
  setImmediate: () => setImmediate(() => {}),
  'timers/promises.setTimeout': () => sleep(1),
  'AbortSignal.timeout': () => AbortSignal.timeout(1),
  'crypto.randomUUID': () => randomUUID(),
  'crypto.randomBytes': () => crypto.randomBytes(4),
  'crypto.getRandomValues': () => globalThis.crypto.getRandomValues(new Uint8Array(4)),
  'fs.readFileSync': () => readFileSync('/etc/hostname'),
  'fs.writeFile': () => fs.writeFile('/nowhere/x', '', () => {}),
  'fs.promises.readFile': () => fs.promises.readFile('/etc/hostname'),
  'child_process.spawn': () => childProcess.spawn('true'),
  'WebAssembly.compile': () =>
    (globalThis as unknown as { WebAssembly: { compile(bytes: Uint8Array): unknown } }).WebAssembly.compile(
      new Uint8Array(),
    ),
}

t.test('Guard: time, randomness, timers and files are refused, and the report names them', async t => {
  for (const [name, touch] of Object.entries(refused)) {
    const { reported, thrown } = await guarded(touch)
    t.ok(hasCode(thrown, 'ERR_SIMULATION_IMPURE'), `${name} throws`)
    t.same(
      reported.map(violation => violation.data['api']),
      [name],
      `${name} is reported once`,
    )
    t.match(reported[0]?.stack, /guard\.test/, 'with the stack of who did it')
  }
})

t.test('Guard: I/O that no patch covers is reported by the resource it makes', async t => {
  const cleanup: (() => unknown)[] = []
  const touches: Record<string, () => unknown> = {
    TCP: () => {
      const socket = net.connect(1, '127.0.0.1').on('error', () => {})
      cleanup.push(() => socket.destroy())
    },
    ZLIB: () => zlib.deflate('x', () => {}),
    WORKER: () => {
      const worker = new Worker('', { eval: true })
      cleanup.push(() => worker.terminate())
    },
  }
  for (const [resource, touch] of Object.entries(touches)) {
    const { reported } = await guarded(touch)
    t.ok(reported.length > 0, `${resource} is reported`)
    t.match(reported[0]?.message, resource)
  }
  for (const close of cleanup) await close()
})

t.test('Guard: what is deterministic passes, the console too', async t => {
  const { reported, thrown } = await guarded(() => {
    const date = new Date(86_400_000)
    t.equal(date.toISOString(), '1970-01-02T00:00:00.000Z')
    t.ok(date instanceof Date)
    t.equal(Date.UTC(1970, 0, 2), 86_400_000)
    crypto.createHash('sha256').update('x').digest()
    queueMicrotask(() => {})
    process.nextTick(() => {})
    structuredClone({ a: 1 })
    console.error('# a line from inside a guarded run')
    void Promise.resolve().then(() => {})
  })
  t.same(reported, [])
  t.equal(thrown, undefined)
})

t.test('Guard: everything is as it was afterwards', async t => {
  const valueOf = ({ holder, key }: ImpureSource): unknown => (holder as Record<string, unknown>)[key]
  const sources = (): unknown[] => [Date, ...impureSources().map(valueOf)]
  const before = sources()
  await guarded(() => {})
  const after = sources()
  t.ok(before.length > 100 && before.every((value, i) => value === after[i]))
  t.ok(Date.now() > 0 && Math.random() < 1 && new Date().getTime() > 0)
  t.equal(readFileSync, fs.readFileSync)
  await settle()
})
