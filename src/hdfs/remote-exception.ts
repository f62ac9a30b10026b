import { RequestFailure, type HdfsErrorCode, type Reaction } from './failure.js'

interface Meaning {
  readonly code: HdfsErrorCode
  readonly reaction: Reaction
}

const WAIT: Meaning = { code: 'ERR_HDFS_UNAVAILABLE', reaction: 'wait' }
const END = (code: HdfsErrorCode): Meaning => ({ code, reaction: 'end' })

/** By the simple name of the exception: a status means this on one server and that on another. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  StandbyException: { code: 'ERR_HDFS_UNAVAILABLE', reaction: 'switch' },
  RetriableException: WAIT,
  SafeModeException: WAIT,
  ServerTooBusyException: WAIT,
  FileNotFoundException: END('ERR_HDFS_MISSING'),
  ParentNotDirectoryException: END('ERR_HDFS_MISSING'),
  FileAlreadyExistsException: END('ERR_HDFS_EXISTS'),
  AlreadyBeingCreatedException: END('ERR_HDFS_EXISTS'),
  PathIsNotEmptyDirectoryException: END('ERR_HDFS_EXISTS'),
  AccessControlException: END('ERR_HDFS_DENIED'),
  AuthorizationException: END('ERR_HDFS_DENIED'),
  AuthenticationException: { code: 'ERR_HDFS_AUTHENTICATION', reaction: 'authenticate' },
  InvalidToken: { code: 'ERR_HDFS_AUTHENTICATION', reaction: 'authenticate' },
  DSQuotaExceededException: END('ERR_HDFS_FULL'),
  NSQuotaExceededException: END('ERR_HDFS_FULL'),
  QuotaExceededException: END('ERR_HDFS_FULL'),
  QuotaByStorageTypeExceededException: END('ERR_HDFS_FULL'),
  DiskOutOfSpaceException: END('ERR_HDFS_FULL'),
}

/** No DataNode lives but those that were to be left out. */
export const NO_DATA_NODE = /Failed to find datanode/i

/** Exceptions whose name says too little: their text tells, in this order. */
const BY_TEXT: readonly (readonly [text: RegExp, meaning: Meaning])[] = [
  [/SecretManager\$InvalidToken|token .*(?:is expired|can't be found)/i, MEANINGS['InvalidToken']!],
  // A path that goes on below a file: for who may not do everything, HDFS says so.
  [/\(is not a directory\)/, END('ERR_HDFS_MISSING')],
  [/in startup mode|NameNode still not started|is in safe mode/i, WAIT],
  [/Operation category \w+ is not supported in state standby/i, MEANINGS['StandbyException']!],
  // Right after a restart a NameNode may drop its first connection to itself.
  [/\bEOFException\b/, WAIT],
  // No DataNode takes a block: none lives, or all are full or were excluded. Others come back.
  [/could only be written to \d+ of the \d+ minReplication nodes|replicated to \d+ nodes/, WAIT],
  [/All datanodes .* are bad|Unable to create new block|Could not get block locations/i, WAIT],
  [/Could not obtain block|BlockMissingException/i, WAIT],
  // Of no use to ask the NameNode again for the same: who looked for a DataNode asks for others.
  [NO_DATA_NODE, { code: 'ERR_HDFS_UNAVAILABLE', reaction: 'end' }],
]

/** Status → meaning of an answer that is no exception of Hadoop's: a gateway's, a filter's, a proxy's. */
function byStatus(status: number): Meaning {
  if (status === 401) return MEANINGS['AuthenticationException']!
  if (status === 403) return END('ERR_HDFS_DENIED')
  if (status === 404) return END('ERR_HDFS_MISSING')
  if (status === 429 || status >= 500) return WAIT
  return END('ERR_HDFS_REFUSED')
}

/** The failure that an answer of 400 and above stands for. */
export function remoteFailure(status: number, body: string): RequestFailure {
  const remote = parseRemoteException(body)
  if (remote === undefined) {
    const told = body
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim()
      .slice(0, MAX_TOLD)
    const meaning = byStatus(status)
    return new RequestFailure(`the server answered ${status}${told === '' ? '' : `: ${told}`}`, {
      ...meaning,
      ambiguous: status >= 500,
    })
  }
  const { exception } = remote
  // What follows are frames of a Java stack.
  const said = remote.message.split(/\n\s*at /, 1)[0]!.trim()
  const text = `${exception}: ${said}`
  const byText = BY_TEXT.find(([pattern]) => pattern.test(text))?.[1]
  const known = Object.hasOwn(MEANINGS, exception) ? MEANINGS[exception] : undefined
  return new RequestFailure(text.slice(0, MAX_TOLD), {
    ...(byText ?? known ?? END('ERR_HDFS_REFUSED')),
    exception,
  })
}

/** Characters of a server's own words that are repeated. */
const MAX_TOLD = 500

function parseRemoteException(body: string): { exception: string; message: string } | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return undefined
  }
  const found = (parsed as { RemoteException?: unknown } | null)?.RemoteException
  const { exception, message } = (found ?? {}) as { exception?: unknown; message?: unknown }
  if (typeof exception !== 'string') return undefined
  return { exception, message: typeof message === 'string' ? message : '' }
}
