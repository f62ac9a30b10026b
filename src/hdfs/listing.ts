import { RequestFailure } from './failure.js'
import { parseListing, parsePage, type HdfsStatus } from './file-status.js'
import type { NameNodes } from './name-nodes.js'

/**
 * A folder in as many pages as the server makes of it, sorted by name; undefined when it is not there or is a file.
 *
 * @throws RequestFailure
 */
export async function listFolder(nameNodes: NameNodes, path: string): Promise<HdfsStatus[] | undefined> {
  try {
    return await listPages(nameNodes, path)
  } catch (error) {
    if (!(error instanceof RequestFailure)) throw error
    if (error.code === 'ERR_HDFS_MISSING') return undefined
    // Before Hadoop 2.8 there are no pages.
    if (error.exception !== 'IllegalArgumentException') throw error
    const { text } = await nameNodes.call({ method: 'GET', op: 'LISTSTATUS', path })
    return folderOf(parseListing(text))
  }
}

async function listPages(nameNodes: NameNodes, path: string): Promise<HdfsStatus[] | undefined> {
  const found: HdfsStatus[] = []
  let after: string | undefined
  for (;;) {
    const { text } = await nameNodes.call({
      method: 'GET',
      op: 'LISTSTATUS_BATCH',
      path,
      // In lower case: other spellings are ignored by some versions, which then begin anew for ever.
      params: after === undefined ? {} : { startafter: after },
    })
    const { entries, remaining } = parsePage(text)
    const last = entries.at(-1)?.name
    if (after !== undefined && entries.some(({ name }) => name === after)) {
      throw new RequestFailure(`the page after ${JSON.stringify(after)} begins before it`, {
        code: 'ERR_HDFS_REFUSED',
        reaction: 'end',
      })
    }
    found.push(...entries)
    if (remaining === 0 || last === undefined) return folderOf(found)
    after = last
  }
}

/** A file lists itself, without a name. */
function folderOf(entries: readonly HdfsStatus[]): HdfsStatus[] | undefined {
  if (entries.some(({ name }) => name === '')) return undefined
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
