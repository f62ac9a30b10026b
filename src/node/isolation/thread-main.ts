import 'reflect-metadata'
import { parentPort, workerData } from 'node:worker_threads'
import { TroupeError } from '../../errors.js'
import { threadData } from '../thread-boot.js'
import { serveActor } from './isolated-actor.js'
import { transferable } from './transferable.js'

/** What runs in an actor's thread. */

const port = parentPort
if (port === null) throw new TroupeError('ERR_INTERNAL', 'thread-main runs in a worker thread only')

port.on(
  'message',
  serveActor({
    sharesMemory: true,
    control: threadData(workerData) as Int32Array,
    post: message => port.postMessage(message, transferable(message[2])),
  }),
)
