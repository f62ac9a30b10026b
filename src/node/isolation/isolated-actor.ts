import { TroupeError } from '../../errors.js'
import { typeByName } from '../../actor/protocol.js'
import { importActorModule } from './actor-loading.js'
import type { HostChannel } from './host-channel.js'
import { IsolatedIncarnation } from './isolated-incarnation.js'
import type { IsolationMessage, StartBody } from './isolation-protocol.js'

/**
 * The other side of a host: waits for the start, loads the class's module, and serves. One actor, one incarnation. A
 * module that does not load is an unhandled rejection, which ends the thread or process.
 *
 * @returns takes the host's messages
 */
export function serveActor(channel: HostChannel): (message: IsolationMessage) => void {
  const early: IsolationMessage[] = []
  let incarnation: IsolatedIncarnation | undefined

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
    // from here on what ends this side is no longer the module's loading
    channel.post(['loaded', 0])
    incarnation = new IsolatedIncarnation(type, body, channel)
    incarnation.start(id, body)
    for (const message of early) incarnation.handle(message)
  }

  return message => {
    if (incarnation !== undefined) incarnation.handle(message)
    else if (message[0] === 'start') void start(message[1], message[2] as StartBody)
    else early.push(message)
  }
}
