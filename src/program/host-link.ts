import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads'
import { errorFromInfo, TroupeError } from '../errors.js'
import {
  ControlWord,
  type ProgramNotice,
  type ProgramReplies,
  type ProgramReply,
  type ProgramRequest,
  type ProgramThreadData,
} from './protocol.js'

/** The program's side of the line to its worker. */
export class HostLink {
  readonly #port: MessagePort
  readonly #replies: MessagePort
  readonly #control: Int32Array
  #around: <T>(wait: () => T) => T = wait => wait()

  constructor(port: MessagePort, data: ProgramThreadData) {
    this.#port = port
    this.#replies = data.replies
    this.#control = new Int32Array(data.control)
  }

  tell(notice: ProgramNotice): void {
    this.#port.postMessage(notice)
  }

  /** From now on the waits of {@link ask} run within this. */
  waitWithin(around: <T>(wait: () => T) => T): void {
    this.#around = around
  }

  /** Asks and blocks the thread until the answer is there; throws the error that it was answered with. */
  ask<R extends ProgramRequest>(request: R): ProgramReplies[R['ask']] {
    // The place of a fault may be in the middle of a push.
    return request.ask === 'fault' ? this.#ask(request) : this.#around(() => this.#ask(request))
  }

  #ask<R extends ProgramRequest>(request: R): ProgramReplies[R['ask']] {
    const seen = Atomics.load(this.#control, ControlWord.replies)
    this.#port.postMessage(request)
    Atomics.wait(this.#control, ControlWord.replies, seen)
    const received = receiveMessageOnPort(this.#replies)
    if (received === undefined) throw new TroupeError('ERR_INTERNAL', `no reply to ${request.ask}`)
    const message = received.message as ProgramReply
    if ('error' in message) throw errorFromInfo(message.error)
    return message.value as ProgramReplies[R['ask']]
  }
}
