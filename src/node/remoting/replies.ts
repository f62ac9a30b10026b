import { errorFromInfo, errorInfo, TroupeError, type Rejected } from '../../errors.js'
import { encodeFrame, type Envelope, type Frame } from '../../wire/index.js'
import type { Peer } from './peer.js'
import type { Remoting } from './remoting.js'

/** The largest failure that travels whole: of a larger one only name, code and the message's start do. */
const MAX_FAILURE_BYTES = 64 * 1024
const MAX_SHORT_MESSAGE = 1_024

/**
 * The outcomes of asks between nodes. Replies and refusals are data: one that gets lost ends in the asker's timeout.
 * Failures go over the system channel, so that whoever asked an actor that died learns it.
 */
export class Replies {
  readonly #remoting: Remoting

  constructor(remoting: Remoting) {
    this.#remoting = remoting
  }

  reply(peer: Peer, path: string, message: string, correlation: number, value: unknown): void {
    this.#data(
      { kind: 'reply', target: path, correlation },
      message,
      value === undefined ? [] : [value],
      peer,
    )
  }

  refuse(peer: Peer, path: string, message: string, correlation: number, error: Rejected): void {
    this.#data({ kind: 'refused', target: path, correlation }, message, [error], peer)
  }

  fail(peer: Peer, path: string, message: string, correlation: number, error: Error): void {
    if (peer.lost) return
    peer.channel.post(sequence => {
      const envelope: Envelope = { kind: 'failure', target: path, correlation, sequence }
      try {
        const frame = encodeFrame(envelope, message, [error], this.#remoting.hooks)
        if (frame.byteLength <= MAX_FAILURE_BYTES) return frame
      } catch {
        // an error may carry anything in its data
      }
      return encodeFrame(envelope, message, [shortened(error)])
    })
  }

  /** The outcome of an ask of this node has come. */
  take({ envelope, name, args }: Frame): void {
    const ask = this.#remoting.asks.get(envelope.correlation ?? 0)
    if (ask === undefined) {
      this.#remoting.system.lateReply(envelope.target, name)
      return
    }
    if (envelope.kind === 'reply') ask.settle(args[0])
    else ask.fail(args[0] instanceof Error ? args[0] : errorFromInfo(errorInfo(args[0])))
  }

  #data(envelope: Envelope, message: string, args: readonly unknown[], peer: Peer): void {
    if (peer.lost) return
    const { target, correlation } = envelope
    let frame: Uint8Array
    try {
      frame = encodeFrame(envelope, message, args, this.#remoting.hooks)
    } catch (error) {
      this.fail(peer, target, message, correlation!, error as Error)
      return
    }
    if (this.#remoting.send(peer, frame, 'data')) return
    const error = new TroupeError(
      'ERR_SEND_BUFFER_FULL',
      `the reply of ${target} to '${message}' found no room on the way to node ${peer.address.id}`,
      { data: { path: target, message } },
    )
    this.fail(peer, target, message, correlation!, error)
  }
}

function shortened(error: Error): Error {
  const { name, message, code } = errorInfo(error)
  return errorFromInfo({
    name,
    message: message.slice(0, MAX_SHORT_MESSAGE),
    ...(code === undefined ? {} : { code }),
  })
}
