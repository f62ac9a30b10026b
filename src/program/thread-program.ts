import type * as Tfjs from '@tensorflow/tfjs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { hashSeed, seedMathRandom, SystemClock } from '../determinism/index.js'
import { describe, errorInfo, TroupeError } from '../errors.js'
import { threadData } from '../node/thread-boot.js'
import { backendError, selectBackend } from '../tensor/index.js'
import { hookEvaluation } from './evaluation-hooks.js'
import { HostLink } from './host-link.js'
import { isJobDefinition, type JobDefinition } from './job-definition.js'
import { hookLayers } from './layers-hooks.js'
import { hookSaving } from './model-saving.js'
import { OnceJournal } from './once-journal.js'
import { redirectConsole } from './program-console.js'
import { ProgramContext } from './program-context.js'
import type { ProgramSpec, ProgramThreadData } from './protocol.js'
import { seedShuffles } from './seeded-shuffles.js'
import { TrainingSession } from './training-session.js'

// The main module of a program's thread: prepares TensorFlow, then runs the job's main from its first line.

const data = threadData(workerData) as ProgramThreadData
const link = new HostLink(parentPort!, data)
try {
  link.tell({ tell: 'returned', result: plainResult(await run(data.spec, link)) })
} catch (error) {
  link.tell({ tell: 'failed', error: errorInfo(backendError(error)) })
}

async function run(spec: ProgramSpec, link: HostLink): Promise<unknown> {
  const random = seedMathRandom(hashSeed(spec.seed, 'load'))
  const tf = await loadTensorFlow(spec.module)
  const backend = await selectBackend(spec.backend === undefined ? {} : { force: spec.backend })
  link.tell({ tell: 'ready', fingerprint: backend.fingerprint, why: backend.why })
  const session = new TrainingSession({ tf, spec, link, clock: new SystemClock(), random })
  const onces = new OnceJournal(session, link)
  const stop = new AbortController()
  parentPort!.once('message', () => stop.abort())
  const context = new ProgramContext({ tf, session, link, onces, spec, signal: stop.signal })
  hookLayers({ tf, session, link, onces, backend: backend.name, chief: spec.rank === 0 })
  hookEvaluation(tf, session, onces)
  hookSaving(tf, session, onces, context.log)
  seedShuffles(tf, spec.seed)
  redirectConsole(context.log)
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
