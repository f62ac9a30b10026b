import 'reflect-metadata'
import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { serveActor } from './isolated-actor.js'
import { packError } from './isolation-protocol.js'
import { MessageLink, type SlotFiles } from './message-link.js'
import { DESCRIPTORS } from './process-descriptors.js'
import { watchOver } from './process-watch.js'

/** What runs in an actor's process, on its main thread: a native abort, an exit or a full heap is the actor's own. */

const control = watchOver(DESCRIPTORS.watch)
const socket = new Socket({ fd: DESCRIPTORS.messages })
// the parent is gone, or has let this process go: whatever the actor still does has nobody to do it for
socket.on('close', () => end(0))
socket.on('error', () => undefined)

const link = new MessageLink(socket, slotFiles(), message => handle(message))
const handle = serveActor({ sharesMemory: false, control, post: message => link.post(message) })

// from a terminal or a service manager they reach the whole group: they are for the parent, which ends this process
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

process.on('uncaughtException', error => {
  // the actor's own handler, if it has one, decides
  if (process.listenerCount('uncaughtException') > 1) return
  link.post(['fatal', 0, packError(error, { sharesMemory: false })])
  socket.end(() => end(1))
})

function end(exitCode: number): void {
  // oxlint-disable-next-line unicorn/no-process-exit -- what the actor left running must not keep it alive
  process.exit(exitCode)
}

/** Absent where the parent found no file system in memory. */
function slotFiles(): SlotFiles | undefined {
  const { incoming, outgoing } = DESCRIPTORS
  return isFile(incoming) && isFile(outgoing) ? { incoming, outgoing } : undefined
}

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile()
  } catch {
    return false
  }
}
