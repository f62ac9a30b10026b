import 'reflect-metadata'
import { parentPort } from 'node:worker_threads'
import { TroupeError } from '../errors.js'
import { typeByName } from '../actor/protocol.js'
import { ThreadIncarnation } from './thread-incarnation.js'
import { importActorModule } from './thread-loading.js'
import type { StartBody, ThreadMessage } from './thread-protocol.js'

/** What runs in an actor's thread: waits for the start, loads the class's module, and serves its host. */

const port = parentPort
if (port === null) throw new TroupeError('ERR_INTERNAL', 'thread-actor runs in a worker thread only')

const early: ThreadMessage[] = []
let incarnation: ThreadIncarnation | undefined

port.on('message', (message: ThreadMessage) => {
  if (incarnation !== undefined) incarnation.handle(message)
  else if (message[0] === 'start') void start(message[1], message[2] as StartBody)
  else early.push(message)
})

/** A module that does not load ends the thread: the host sees the error. */
async function start(id: number, body: StartBody): Promise<void> {
  await importActorModule(body.module)
  const type = typeByName(body.type)
  if (type === undefined) {
    throw new TroupeError(
      'ERR_NOT_LOADABLE',
      `${body.module} does not declare an actor named '${body.type}'`,
      {
        data: { type: body.type, module: body.module },
      },
    )
  }
  // from here on what ends the thread is no longer the module's loading
  port?.postMessage(['loaded', 0] satisfies ThreadMessage)
  incarnation = new ThreadIncarnation(type, body, (message, transfer) => port?.postMessage(message, transfer))
  incarnation.start(id, body)
  for (const message of early) incarnation.handle(message)
}
