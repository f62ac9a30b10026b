import type * as Tfjs from '@tensorflow/tfjs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { hashSeed, seedMathRandom, SystemClock, type MathRandomSeed } from '../determinism/index.js'
import { describe, errorInfo, TroupeError } from '../errors.js'
import { threadData } from '../node/thread-boot.js'
import { backendError, selectBackend, type Backend } from '../tensor/index.js'
import { hookEvaluation } from './evaluation-hooks.js'
import { HostLink } from './host-link.js'
import { isJobDefinition, type JobDefinition } from './job-definition.js'
import { hookLayers } from './layers-hooks.js'
import { hookSaving } from './model-saving.js'
import { OnceJournal } from './once-journal.js'
import { muteStreams, redirectConsole } from './program-console.js'
import { ProgramContext } from './program-context.js'
import type { Preparation, ProgramOrder, ProgramSpec, ProgramThreadData, ThreadNotice } from './protocol.js'
import { seedShuffles } from './seeded-shuffles.js'
import { TrainingSession } from './training-session.js'

// The main module of a program's thread: prepares TensorFlow, then waits for the job's program, which may be there
// already, and runs its main from the first line.

const port = parentPort!
const data = threadData(workerData) as ProgramThreadData
const link = new HostLink(port, data)
const stop = new AbortController()
const ordered = new Promise<ProgramSpec>(resolve => {
  port.on('message', (order: ProgramOrder) => {
    if (order === 'abort') stop.abort()
    else resolve(order.run)
  })
})
try {
  const prepared = await prepare(data.preparation)
  port.postMessage({ tell: 'prepared' } satisfies ThreadNotice)
  link.tell({ tell: 'returned', result: plainResult(await run(await ordered, prepared)) })
} catch (error) {
  link.tell({ tell: 'failed', error: errorInfo(backendError(error)) })
}

interface Prepared {
  readonly tf: typeof Tfjs
  readonly backend: Backend
  readonly random: MathRandomSeed
}

/** All that can be done before the program is known; nothing of the user's code runs here. */
async function prepare({ module, seed, backend: force }: Preparation): Promise<Prepared> {
  const random = seedMathRandom(hashSeed(seed, 'load'))
  const tf = await loadTensorFlow(module)
  const backend = await selectBackend(force === undefined ? {} : { force })
  return { tf, backend, random }
}

async function run(spec: ProgramSpec, { tf, backend, random }: Prepared): Promise<unknown> {
  link.tell({ tell: 'ready', fingerprint: backend.fingerprint, why: backend.why })
  const session = new TrainingSession({ tf, spec, link, clock: new SystemClock(), random })
  const onces = new OnceJournal(session, link)
  const context = new ProgramContext({ tf, session, link, onces, spec, signal: stop.signal })
  hookLayers({ tf, session, link, onces, backend: backend.name, chief: spec.rank === 0 })
  hookEvaluation(tf, session, onces)
  hookSaving(tf, session, onces, context.log)
  seedShuffles(tf, spec.seed)
  redirectConsole(context.log)
  muteStreams(session)
  const { main } = await loadDefinition(spec.module)
  return main(spec.args, context)
}

/** The copy that the job's module itself will import. */
async function loadTensorFlow(module: string): Promise<typeof Tfjs> {
  let path: string
  try {
    path = createRequire(module).resolve('@tensorflow/tfjs')
  } catch {
    return import('@tensorflow/tfjs')
  }
  return (await import(pathToFileURL(path).href)) as typeof Tfjs
}

async function loadDefinition(module: string): Promise<JobDefinition> {
  const { default: exported } = (await import(module)) as { default?: unknown }
  if (isJobDefinition(exported)) return exported
  throw new TroupeError('ERR_JOB_MODULE', `${module} exports ${describe(exported)} as default`)
}

/** What can travel to whoever started the job; anything else is left out. */
function plainResult(result: unknown): unknown {
  try {
    return result === undefined ? null : (JSON.parse(JSON.stringify(result)) as unknown)
  } catch {
    return null
  }
}
