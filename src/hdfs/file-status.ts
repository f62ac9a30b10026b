import { RequestFailure } from './failure.js'

/** What HDFS knows of a file or folder. */
export interface HdfsStatus {
  /** Relative to what was listed; empty for the thing itself. */
  readonly name: string
  readonly directory: boolean
  /** 0 for a folder. */
  readonly bytes: number
  /** By the NameNode's clock, in milliseconds since 1970. */
  readonly modifiedMs: number
  /** Of the inode: stays through renames, and is never given again. Undefined where the server is no NameNode. */
  readonly fileId: number | undefined
  readonly owner: string
  /** Octal, such as `755`. */
  readonly permission: string
}

/** A folder, in pages. */
export interface HdfsPage {
  readonly entries: readonly HdfsStatus[]
  readonly remaining: number
}

export function parseStatus(text: string): HdfsStatus {
  return toStatus(field(parse(text), 'FileStatus'))
}

/** The answer to LISTSTATUS_BATCH. */
export function parsePage(text: string): HdfsPage {
  const listing = field(parse(text), 'DirectoryListing')
  const remaining = field(listing, 'remainingEntries')
  if (typeof remaining !== 'number') throw odd('DirectoryListing without remainingEntries')
  return { entries: entriesOf(field(listing, 'partialListing')), remaining }
}

/** The answer to LISTSTATUS: a folder as a whole. */
export function parseListing(text: string): readonly HdfsStatus[] {
  return entriesOf(parse(text))
}

/** The value of `{"boolean": …}`; undefined for any other answer, such as the empty one of a RENAME with options. */
export function parseBoolean(text: string): boolean | undefined {
  if (text.trim() === '') return undefined
  const value = field(parse(text), 'boolean')
  return typeof value === 'boolean' ? value : undefined
}

/** One field of a JSON object; undefined when it is not there, or is no object. */
export function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}

/** @throws RequestFailure when it is no JSON: then the server is no WebHDFS */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw odd(JSON.stringify(text.slice(0, MAX_SHOWN)), error)
  }
}

const MAX_SHOWN = 60

function entriesOf(listing: unknown): HdfsStatus[] {
  const entries = field(field(listing, 'FileStatuses'), 'FileStatus')
  if (!Array.isArray(entries)) throw odd('a listing without FileStatuses')
  return entries.map(toStatus)
}

function toStatus(value: unknown): HdfsStatus {
  const type = field(value, 'type')
  const bytes = field(value, 'length')
  const modifiedMs = field(value, 'modificationTime')
  const fileId = field(value, 'fileId')
  if (typeof type !== 'string' || typeof bytes !== 'number' || typeof modifiedMs !== 'number') {
    throw odd('a FileStatus without type, length or modificationTime')
  }
  const directory = type === 'DIRECTORY'
  return {
    name: text(field(value, 'pathSuffix')),
    directory,
    bytes: directory ? 0 : bytes,
    modifiedMs,
    fileId: typeof fileId === 'number' && fileId > 0 ? fileId : undefined,
    owner: text(field(value, 'owner')),
    permission: text(field(value, 'permission')),
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function odd(what: string, cause?: unknown): RequestFailure {
  return new RequestFailure(`the answer is not one of WebHDFS: ${what}`, {
    code: 'ERR_HDFS_REFUSED',
    reaction: 'end',
    cause,
  })
}
