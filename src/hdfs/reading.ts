import { DataNodes, transfer, type DataPlace } from './data-node.js'
import type { HttpReply } from './exchange.js'
import { readAnswer, type HdfsMeans, type NameNodes } from './name-nodes.js'
import { RequestFailure } from './failure.js'

/** HDFS refuses to begin behind the end of a file that is not empty. */
const BEHIND_THE_END = /^IOException: Offset=\d+ out of the range/
const NO_FILE = /Path is not a file|is not a regular file|Is a directory/i

/** What {@link readRange} throws for a folder. */
export const READING_A_FOLDER = 'it is a folder'

/**
 * The bytes `[offset, offset + length)` of a file, in pieces as they come, fewer where the file ends before. A DataNode
 * that fails is left out, and reading goes on where it stopped.
 *
 * @throws RequestFailure
 */
export async function* readRange(
  nameNodes: NameNodes,
  means: HdfsMeans,
  path: string,
  offset: number,
  length: number,
): AsyncGenerator<Uint8Array> {
  const dataNodes = new DataNodes(nameNodes, means)
  const end = offset + length
  for (let at = offset; at < end;) {
    let place: DataPlace | undefined
    let reply: HttpReply | undefined
    try {
      place = await dataNodes.find({
        method: 'GET',
        op: 'OPEN',
        path,
        params: { offset: at, length: end - at },
      })
      reply = await means.exchange.send(transfer('GET', place))
      if (reply.status >= 400) await readAnswer(reply)
      for await (const piece of reply.body) {
        at += piece.byteLength
        yield piece
      }
      return
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error
      if (BEHIND_THE_END.test(error.message)) return
      if (NO_FILE.test(error.message)) throw folderFailure(error)
      await dataNodes.recover(error, place)
    } finally {
      // Does nothing when it was read to its end.
      reply?.drop()
    }
  }
}

function folderFailure({ exception, cause }: RequestFailure): RequestFailure {
  return new RequestFailure(READING_A_FOLDER, { code: 'ERR_HDFS_REFUSED', reaction: 'end', exception, cause })
}
