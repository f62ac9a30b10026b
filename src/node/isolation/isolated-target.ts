import { TroupeError } from '../../errors.js'
import type { AskOptions } from '../../actor/ask.js'
import type { HandlerEntry } from '../../actor/protocol.js'
import type { RefTarget } from '../../actor/ref.js'
import {
  seal,
  unpackValue,
  type Crossing,
  type IsolationTag,
  type SealedMessage,
} from './isolation-protocol.js'

/** What an isolated actor says to its host. */
export interface HostLine {
  readonly crossing: Crossing
  /** Numbers requests, so that they can be aborted. */
  nextId(): number
  request(tag: IsolationTag, body: unknown, id: number): Promise<unknown>
  send(tag: IsolationTag, id: number, body?: unknown): void
}

/** Where the refs of an isolated actor point: all that is sent to them goes by way of the host. */
export function isolatedTarget(line: HostLine, path: string): RefTarget {
  const notHere = (): never => {
    throw new TroupeError('ERR_INTERNAL', 'an isolated actor watches through its context only')
  }
  return {
    path,
    ask: (handler, payload, options) => ask(line, path, handler, payload, options),
    tell: (handler, payload) =>
      line.send('send-tell', 0, { path, message: sealed(line.crossing, handler, payload) }),
    watch: notHere,
    unwatch: notHere,
    stop: async () => {
      await line.request('stop-child', path, line.nextId())
    },
  }
}

/** Sends before it first waits, so that messages keep their order. */
async function ask(
  line: HostLine,
  path: string,
  handler: HandlerEntry,
  payload: unknown,
  { signal, timeoutMs }: AskOptions = {},
): Promise<unknown> {
  if (signal?.aborted === true) {
    throw new TroupeError('ERR_ASK_ABORTED', `the ask '${handler.name}' to ${path} was aborted`, {
      cause: signal.reason,
    })
  }
  const message = sealed(line.crossing, handler, payload)
  const id = line.nextId()
  const onAbort = (): void => line.send('abort-ask', id)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return unpackValue(await line.request('send-ask', { path, message, timeoutMs }, id), line.crossing)
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

function sealed(crossing: Crossing, handler: HandlerEntry, payload: unknown): SealedMessage {
  const args = handler.packed ? (payload as unknown[]) : payload === undefined ? [] : [payload]
  return seal(handler.name, args, crossing)
}
