import process from 'node:process'
import type { Check, FoundEngine } from '../engine.js'
import { check } from '../check.js'
import { runProgram } from '../program.js'

const REMEDY = 'troupe provision tensorflow'

/** Loads an addon in the main thread, and prints the version of the library. */
const IN_PROCESS = 'process.stdout.write(String(require(process.argv[1]).TF_Version))'

/** The same in a thread, after the main thread did: that is how a program's threads find it. */
const IN_THREAD = `
const { Worker } = require('node:worker_threads')
const addon = process.argv[1]
require(addon)
new Worker('const w = require("node:worker_threads"); w.parentPort.postMessage(require(w.workerData).TF_Version)', { eval: true, workerData: addon })
  .on('message', version => process.stdout.write(String(version)))
  .on('error', error => { throw error })
`

/** What `troupe doctor` says of TensorFlow: loaded in processes of its own, which may die of it. */
export async function examineTensorFlow(
  found: FoundEngine | undefined,
  signal?: AbortSignal,
): Promise<readonly Check[]> {
  if (found === undefined) {
    return [{ name: 'installed', ok: false, detail: 'jobs train on wasm, which is slower', remedy: REMEDY }]
  }
  const remedy = `troupe provision tensorflow --remove && ${REMEDY}`
  const load = (name: string, script: string): Promise<Check> =>
    check(
      name,
      async () => {
        const options = { env: { NODE_OPTIONS: '' }, ...(signal === undefined ? {} : { signal }) }
        return `TensorFlow ${await runProgram(process.execPath, ['-e', script, found.path], options)}`
      },
      remedy,
    )
  return [
    { name: 'installed', ok: true, detail: `${found.by}: ${found.path}` },
    await load('loads in a process', IN_PROCESS),
    await load('loads in a thread', IN_THREAD),
  ]
}
