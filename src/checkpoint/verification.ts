import { createHash } from 'node:crypto'
import { hasCode } from '../errors.js'
import type { CheckpointEntry } from './checkpoint-entry.js'
import { Checkpoint, type FiledSlice } from './checkpoint.js'
import type { CheckpointDamage, DamageReason } from './damage.js'
import { joinPath, MANIFEST_FILE, parseShardFile, shardFile, STATE_FILE } from './directory-names.js'
import type { CheckpointFiles } from './files.js'
import { decodeManifest, type CheckpointManifest, type FileReceipt } from './manifest.js'
import { decodeShardHeader, shardHeaderBytes } from './safetensors.js'
import { coverageFault } from './tensor-slice.js'

/**
 * How closely a checkpoint is looked at: `full` reads and hashes every byte; `lengths` reads the manifest and the
 * shards' headers and compares lengths, which finds what is missing or cut short, not what has flipped.
 */
export type VerifyDepth = 'full' | 'lengths'

export type Verification =
  | { readonly ok: true; readonly checkpoint: Checkpoint }
  | { readonly ok: false; readonly damage: CheckpointDamage }

/** A manifest is read whole: what is longer than this is none. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024
const READ_BYTES = 1024 * 1024
const LENGTH_BYTES = 8

/**
 * Looks whether a checkpoint can be used.
 *
 * @throws ERR_CHECKPOINT_IO when the place cannot be asked: that says nothing about the checkpoint
 */
export async function verifyCheckpoint(
  files: CheckpointFiles,
  entry: CheckpointEntry,
  depth: VerifyDepth = 'full',
): Promise<Verification> {
  try {
    const manifest = await readManifest(files, entry)
    for (const receipt of manifest.files) {
      await checkLength(files, entry, receipt)
      if (depth === 'full') await checkDigest(files, entry, receipt)
    }
    const slices: FiledSlice[] = []
    for (let shard = 0; shard < manifest.shards; shard++) {
      slices.push(...(await readSlicesOf(files, entry, shardReceipt(manifest, shard))))
    }
    const fault = coverageFault(slices)
    if (fault !== undefined) throw new Damaged('slices-inconsistent', MANIFEST_FILE, fault)
    return { ok: true, checkpoint: new Checkpoint(files, entry, manifest, slices) }
  } catch (error) {
    if (!(error instanceof Damaged)) throw error
    const { generation, step, directory } = entry
    const { reason, file, message: what } = error
    return { ok: false, damage: { generation, step, directory, reason, file, what } }
  }
}

/** Ends the verification of one checkpoint; does not leave this file. */
class Damaged extends Error {
  readonly reason: DamageReason
  readonly file: string

  constructor(reason: DamageReason, file: string, what: string) {
    super(what)
    this.reason = reason
    this.file = file
  }
}

async function readManifest(files: CheckpointFiles, entry: CheckpointEntry): Promise<CheckpointManifest> {
  const path = joinPath(entry.directory, MANIFEST_FILE)
  const stat = await files.stat(path)
  if (stat === undefined || stat.directory) {
    throw new Damaged('manifest-missing', MANIFEST_FILE, `${MANIFEST_FILE} is not there`)
  }
  if (stat.bytes > MAX_MANIFEST_BYTES) {
    const what = `${MANIFEST_FILE} has ${stat.bytes} bytes; at most ${MAX_MANIFEST_BYTES} are read`
    throw new Damaged('manifest-damaged', MANIFEST_FILE, what)
  }
  const reading = decodeManifest(await readBytes(files, entry, MANIFEST_FILE, 0, stat.bytes))
  if ('fault' in reading) {
    throw new Damaged(
      reading.fault === 'version' ? 'version-unknown' : 'manifest-damaged',
      MANIFEST_FILE,
      reading.what,
    )
  }
  const { manifest } = reading
  if (manifest.generation !== entry.generation || manifest.step !== entry.step) {
    const what = `the manifest is of generation ${manifest.generation}, step ${manifest.step}`
    throw new Damaged('manifest-damaged', MANIFEST_FILE, what)
  }
  const names = manifest.files.map(({ file }) => file)
  const wanted = [
    ...Array.from({ length: manifest.shards }, (_, i) => shardFile(i, manifest.shards)),
    STATE_FILE,
  ]
  const fits = names.length === wanted.length && wanted.every(name => names.includes(name))
  if (fits) return manifest
  const what = `the manifest lists ${names.join(', ')} instead of ${wanted.join(', ')}`
  throw new Damaged('manifest-damaged', MANIFEST_FILE, what)
}

function shardReceipt(manifest: CheckpointManifest, shard: number): FileReceipt {
  return manifest.files.find(({ file }) => parseShardFile(file)?.shard === shard)!
}

async function checkLength(
  files: CheckpointFiles,
  entry: CheckpointEntry,
  { file, bytes }: FileReceipt,
): Promise<void> {
  const stat = await files.stat(joinPath(entry.directory, file))
  if (stat === undefined || stat.directory) throw new Damaged('file-missing', file, `${file} is not there`)
  if (stat.bytes === bytes) return
  throw new Damaged('file-length', file, `${file} has ${stat.bytes} bytes; the manifest says ${bytes}`)
}

async function checkDigest(
  files: CheckpointFiles,
  entry: CheckpointEntry,
  { file, bytes, sha256 }: FileReceipt,
): Promise<void> {
  const hash = createHash('sha256')
  for (let at = 0; at < bytes; at += READ_BYTES) {
    hash.update(await readBytes(files, entry, file, at, Math.min(READ_BYTES, bytes - at)))
  }
  const found = hash.digest('hex')
  if (found === sha256) return
  throw new Damaged('file-digest', file, `${file} has the SHA-256 ${found}; the manifest says ${sha256}`)
}

async function readSlicesOf(
  files: CheckpointFiles,
  entry: CheckpointEntry,
  { file, bytes }: FileReceipt,
): Promise<FiledSlice[]> {
  const first = bytes < LENGTH_BYTES ? new Uint8Array() : await readBytes(files, entry, file, 0, LENGTH_BYTES)
  const headerBytes = shardHeaderBytes(first, bytes)
  if (headerBytes === undefined) {
    throw new Damaged('header-damaged', file, `${file} does not begin as a safetensors file`)
  }
  const slices = decodeShardHeader(await readBytes(files, entry, file, 0, headerBytes), bytes)
  if (typeof slices === 'string') throw new Damaged('header-damaged', file, `${file}: ${slices}`)
  return slices.map(slice => Object.assign(slice, { file }))
}

/** All of the bytes asked for. */
async function readBytes(
  files: CheckpointFiles,
  entry: CheckpointEntry,
  file: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  try {
    const bytes = await files.read(joinPath(entry.directory, file), offset, length)
    if (bytes.byteLength === length) return bytes
    const what = `${file} gave ${bytes.byteLength} bytes from ${offset} instead of ${length}`
    throw new Damaged('file-length', file, what)
  } catch (error) {
    if (hasCode(error, 'ERR_CHECKPOINT_MISSING')) {
      throw new Damaged('file-missing', file, `${file} is not there`)
    }
    if (hasCode(error, 'ERR_CHECKPOINT_UNREADABLE')) {
      throw new Damaged('file-unreadable', file, `${file} cannot be read: ${error.message}`)
    }
    throw error
  }
}
