import { Worker } from 'node:worker_threads'

/** Milliseconds that a process whose parent is gone, or has let it go, has to end by itself. */
export const LAST_MS = 1_000

/**
 * Plain JavaScript: it needs no loader, and is there within milliseconds. Any byte on the descriptor is the end of the
 * incarnation; its close is the end of the process, which it may have to be told by force: it cannot be overheard.
 */
const WATCH = `
const { Socket } = require('node:net')
const { workerData: { fd, control, lastMs } } = require('node:worker_threads')
const ending = () => Atomics.store(control, 0, 1)
const socket = new Socket({ fd })
socket.on('data', ending)
socket.on('error', () => {})
socket.on('close', () => {
  ending()
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), lastMs)
})
`

/**
 * Watches over this process from a thread of its own, since the actor may block its event loop for good: sets the control
 * word when the parent says so, and ends the process when its parent is gone, however that ended.
 *
 * @param fd a socket that only the parent has the other end of
 */
export function watchOver(fd: number): Int32Array {
  const control = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(WATCH, {
    eval: true,
    workerData: { fd, control, lastMs: LAST_MS },
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    name: 'watch',
  })
  worker.unref()
  return control
}
