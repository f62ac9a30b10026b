import { TroupeError, type ErrorCode } from '../errors.js'

type FilesErrorCode = Extract<
  ErrorCode,
  | 'ERR_CHECKPOINT_MISSING'
  | 'ERR_CHECKPOINT_EXISTS'
  | 'ERR_CHECKPOINT_DISK_FULL'
  | 'ERR_CHECKPOINT_IO'
  | 'ERR_CHECKPOINT_UNREADABLE'
>

/** How the operating system names what we name. */
const BY_SYSTEM_CODE: Readonly<Record<string, FilesErrorCode>> = {
  ENOENT: 'ERR_CHECKPOINT_MISSING',
  ENOTDIR: 'ERR_CHECKPOINT_MISSING',
  EEXIST: 'ERR_CHECKPOINT_EXISTS',
  ENOSPC: 'ERR_CHECKPOINT_DISK_FULL',
  EDQUOT: 'ERR_CHECKPOINT_DISK_FULL',
  EFBIG: 'ERR_CHECKPOINT_DISK_FULL',
}

/** Of the errors of a read, those which say that the medium lost the bytes: no use in asking again. */
const UNREADABLE = new Set(['EIO', 'EBADMSG', 'EUCLEAN', 'EISDIR'])

/** An error of the port: what was done, where. */
export function filesError(code: FilesErrorCode, doing: string, path: string, cause?: unknown): TroupeError {
  return new TroupeError(code, `${doing} ${path}: ${WHAT[code]}`, { data: { path }, cause })
}

/** An error of the operating system as one of the port. */
export function systemFilesError(doing: string, path: string, cause: unknown): TroupeError {
  const system = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined
  const unreadable = doing === 'reading' && UNREADABLE.has(system ?? '')
  const code = unreadable ? 'ERR_CHECKPOINT_UNREADABLE' : BY_SYSTEM_CODE[system ?? '']
  return filesError(code ?? 'ERR_CHECKPOINT_IO', doing, path, cause)
}

const WHAT: Readonly<Record<FilesErrorCode, string>> = {
  ERR_CHECKPOINT_MISSING: 'it, or the folder it lies in, is not there',
  ERR_CHECKPOINT_EXISTS: 'something is there already',
  ERR_CHECKPOINT_DISK_FULL: 'no space is left',
  ERR_CHECKPOINT_IO: 'the file system refused',
  ERR_CHECKPOINT_UNREADABLE: 'the medium does not give the bytes back',
}
