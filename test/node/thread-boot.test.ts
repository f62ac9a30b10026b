import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import t from 'tap'
import { exportConditions } from '../../src/node/boot-plan.js'
import { spawnThread } from '../../src/node/thread-boot.js'

const fixture = (name: string): URL => new URL(`../fixtures/threads/${name}`, import.meta.url)

async function firstMessage(worker: Worker): Promise<Record<string, unknown>> {
  const [message] = (await once(worker, 'message')) as [Record<string, unknown>]
  await once(worker, 'exit')
  return message
}

t.test('a thread runs a TypeScript module, shares buffers, and inherits no loader', async t => {
  const shared = new SharedArrayBuffer(8)
  const message = await firstMessage(
    spawnThread({
      main: fixture('echo.ts'),
      data: { shared, n: 7 },
      env: { NODE_OPTIONS: '-C odd --no-warnings' },
    }),
  )
  t.equal(message['answer'], 42)
  const data = message['data'] as { shared: SharedArrayBuffer; n: number }
  t.equal(data.n, 7)
  new Int32Array(data.shared)[0] = 5
  t.equal(new Int32Array(shared)[0], 5, 'the buffer is shared, not copied')
  t.ok((message['execArgv'] as string[]).includes('--conditions=odd'), 'export conditions are kept')
  t.notOk((message['execArgv'] as string[]).some(option => /import|loader/.test(option)))
  t.equal(message['nodeOptions'], '-C odd --no-warnings', 'children of the thread see the options again')
})

t.test("a module that fails to load is the thread's error", async t => {
  const worker = spawnThread({ main: fixture('broken.ts'), data: null })
  const [error] = (await once(worker, 'error')) as [Error]
  t.match(error.message, 'this module does not load')
})

t.test('conditions are found in every form, once each', async t => {
  t.same(exportConditions(['--conditions=a', '-C', 'b', '--import', 'x', '--conditions', 'a', '-C=c']), [
    '--conditions=a',
    '--conditions=b',
    '--conditions=c',
  ])
})
