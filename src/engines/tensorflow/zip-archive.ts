import { createHash, type Hash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createInflateRaw } from 'node:zlib'
import { TroupeError } from '../../errors.js'

/** PKWARE's APPNOTE.TXT: the records at the end of an archive, the list of its files, and the one before each file. */
const END_SIGNATURE = Buffer.from('PK\x05\x06', 'latin1')
const END_BYTES = 22
const MAX_COMMENT_BYTES = 65_535
const ENTRY_SIGNATURE = 0x02014b50
const ENTRY_BYTES = 46
const LOCAL_BYTES = 30
const DEFLATED = 8
/** What a size or place is that needs the 64-bit format, which no wheel below 4 GB uses. */
const IN_ZIP64 = 0xffffffff

const CHUNK_BYTES = 1 << 20

interface Entry {
  readonly method: number
  readonly compressedBytes: number
  readonly offset: number
}

/** A zip archive on disk, such as a Python wheel. Needs no unzip and no Python. */
export class ZipArchive {
  readonly #path: string
  readonly #entries: ReadonlyMap<string, Entry>

  private constructor(path: string, entries: ReadonlyMap<string, Entry>) {
    this.#path = path
    this.#entries = entries
  }

  /** @throws ERR_ENGINE_INSTALL if it is none, or is cut short */
  static async open(path: string): Promise<ZipArchive> {
    await using file = await open(path).catch((cause: unknown) => {
      throw new TroupeError('ERR_ENGINE_INSTALL', `${path} cannot be read`, { cause })
    })
    const { size } = await file.stat()
    const read = async (position: number, length: number): Promise<Buffer> => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
      return buffer.subarray(0, bytesRead)
    }
    const tailBytes = Math.min(size, END_BYTES + MAX_COMMENT_BYTES)
    const tail = await read(size - tailBytes, tailBytes)
    const end = tail.lastIndexOf(END_SIGNATURE)
    if (end < 0 || end + END_BYTES > tail.length) throw notWhole(path)
    const [directoryBytes, start] = [tail.readUInt32LE(end + 12), tail.readUInt32LE(end + 16)]
    if (start === IN_ZIP64 || start + directoryBytes > size) throw notWhole(path)
    return new ZipArchive(path, entriesOf(await read(start, directoryBytes), path))
  }

  has(name: string): boolean {
    return this.#entries.has(name)
  }

  /**
   * Writes one file of the archive.
   *
   * @returns the SHA-256 of what was written
   * @throws ERR_ENGINE_INSTALL if the archive has no such file, or it is damaged
   */
  async extract(name: string, to: string): Promise<Hash> {
    const hash = createHash('sha256')
    const entry = this.#entries.get(name)
    if (entry === undefined) {
      throw new TroupeError('ERR_ENGINE_INSTALL', `${this.#path} has no ${name}: is it the right archive?`)
    }
    await mkdir(dirname(to), { recursive: true })
    const local = Buffer.alloc(LOCAL_BYTES)
    {
      await using file = await open(this.#path)
      await file.read(local, 0, LOCAL_BYTES, entry.offset)
    }
    const start = entry.offset + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28)
    const end = start + entry.compressedBytes - 1
    const packed = createReadStream(this.#path, { start, end, highWaterMark: CHUNK_BYTES })
    const hashed = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of chunks) {
        hash.update(chunk)
        yield chunk
      }
    }
    const out = createWriteStream(to)
    try {
      if (entry.method === DEFLATED) {
        await pipeline(packed, createInflateRaw({ chunkSize: CHUNK_BYTES }), hashed, out)
      } else await pipeline(packed, hashed, out)
    } catch (cause) {
      if (!String((cause as NodeJS.ErrnoException).code).startsWith('Z_')) throw cause
      throw new TroupeError('ERR_ENGINE_INSTALL', `${name} in ${this.#path} is damaged`, { cause })
    }
    return hash
  }
}

function entriesOf(directory: Buffer, path: string): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  for (let at = 0; at + ENTRY_BYTES <= directory.length;) {
    if (directory.readUInt32LE(at) !== ENTRY_SIGNATURE) throw notWhole(path)
    const nameBytes = directory.readUInt16LE(at + 28)
    const extraBytes = directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32)
    entries.set(directory.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes), {
      method: directory.readUInt16LE(at + 10),
      compressedBytes: directory.readUInt32LE(at + 20),
      offset: directory.readUInt32LE(at + 42),
    })
    at += ENTRY_BYTES + nameBytes + extraBytes
  }
  return entries
}

function notWhole(path: string): TroupeError {
  return new TroupeError(
    'ERR_ENGINE_INSTALL',
    `${path} is no whole zip archive: another file, or a download that was cut short`,
  )
}
