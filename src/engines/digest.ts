import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { TroupeError } from '../errors.js'

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/**
 * @param expected lower-case hex
 * @throws ERR_ENGINE_DIGEST
 */
export async function checkDigest(path: string, expected: string): Promise<void> {
  const got = await sha256Of(path)
  if (got === expected) return
  throw new TroupeError(
    'ERR_ENGINE_DIGEST',
    `${basename(path)} has SHA-256 ${got}, where ${expected} is expected`,
    { data: { path, got, expected } },
  )
}
