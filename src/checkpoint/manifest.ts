import { createHash } from 'node:crypto'
import { z } from 'zod'
import { describe } from '../errors.js'

export const MANIFEST_FORMAT = 'troupe-checkpoint'
/** Grows when a reader of the older version would misread the newer. */
export const MANIFEST_VERSION = 1

/** A file of a checkpoint, as its writer saw it. */
export interface FileReceipt {
  /** Name within the checkpoint's folder. */
  readonly file: string
  readonly bytes: number
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string
}

/** What the writer of a checkpoint says about it. */
export interface ManifestFacts {
  /** Name of the job. */
  readonly job: string
  /** The epoch that is open at this step, counted from 0. */
  readonly epoch: number
  /** Of the supervisor that commits. */
  readonly incarnation: number
  /** When, in milliseconds since 1970. */
  readonly savedAtMs: number
  /** Which slice of which variable lies on which shard; plain JSON, for people: readers use the shards' headers. */
  readonly layout: unknown
  /** Of the machine that computed: a job goes on exactly only on its like. Plain JSON. */
  readonly fingerprint: unknown
  /** Of Troupe and what it stands on, by name. */
  readonly versions: Readonly<Record<string, string>>
}

export interface CheckpointManifest extends ManifestFacts {
  readonly generation: number
  readonly step: number
  readonly shards: number
  /** All but the manifest itself. */
  readonly files: readonly FileReceipt[]
}

const count = z.number().int().nonnegative()

const schema = z.object({
  format: z.literal(MANIFEST_FORMAT),
  version: z.literal(MANIFEST_VERSION),
  job: z.string(),
  generation: count,
  step: count,
  epoch: count,
  incarnation: count,
  savedAt: z.iso.datetime(),
  shards: count.min(1),
  fingerprint: z.unknown(),
  versions: z.record(z.string(), z.string()),
  files: z.array(
    z.object({
      file: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
      bytes: count,
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
  layout: z.unknown(),
})

const HEAD = '{"sha256":"'
const NECK = '","manifest":'
const TAIL = '}\n'
const DIGEST_LENGTH = 64

/**
 * The bytes of `manifest.json`: JSON, `{"sha256": …, "manifest": …}`, where the digest is of the text of the second
 * member exactly as it stands there. So a flipped bit shows wherever it is, though nothing else vouches for this file.
 */
export function encodeManifest(manifest: CheckpointManifest): Uint8Array {
  const { savedAtMs, ...rest } = manifest
  const body = JSON.stringify(
    {
      format: MANIFEST_FORMAT,
      version: MANIFEST_VERSION,
      job: rest.job,
      generation: rest.generation,
      step: rest.step,
      epoch: rest.epoch,
      incarnation: rest.incarnation,
      savedAt: new Date(savedAtMs).toISOString(),
      shards: rest.shards,
      fingerprint: rest.fingerprint ?? null,
      versions: rest.versions,
      files: rest.files.map(({ file, bytes, sha256 }) => ({ file, bytes, sha256 })),
      layout: rest.layout ?? null,
    },
    null,
    1,
  )
  return Buffer.from(`${HEAD}${digest(body)}${NECK}${body}${TAIL}`, 'utf8')
}

export type ManifestReading =
  { readonly manifest: CheckpointManifest } | { readonly fault: 'damaged' | 'version'; readonly what: string }

/** Reads and checks the bytes of a `manifest.json`; whatever they are, it does not throw. */
export function decodeManifest(bytes: Uint8Array): ManifestReading {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  const at = HEAD.length + DIGEST_LENGTH
  const framed = text.startsWith(HEAD) && text.slice(at, at + NECK.length) === NECK && text.endsWith(TAIL)
  if (!framed) return { fault: 'damaged', what: 'the manifest is cut short or is not one' }
  const body = text.slice(at + NECK.length, -TAIL.length)
  const said = text.slice(HEAD.length, at)
  if (digest(body) !== said)
    return { fault: 'damaged', what: 'the manifest does not have the digest it states' }
  return parseBody(body)
}

function parseBody(body: string): ManifestReading {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return { fault: 'damaged', what: 'the manifest is not JSON' }
  }
  const { format, version } = (value ?? {}) as { format?: unknown; version?: unknown }
  if (format === MANIFEST_FORMAT && version !== MANIFEST_VERSION) {
    const what = `the manifest has version ${describe(version)}; this Troupe reads ${MANIFEST_VERSION}`
    return { fault: 'version', what }
  }
  const result = schema.safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]
    const field = issue?.path.join('.') ?? ''
    return { fault: 'damaged', what: `the manifest's ${field} is wrong: ${issue?.message ?? 'not accepted'}` }
  }
  const { format: _format, version: _version, savedAt, ...rest } = result.data
  return { manifest: { ...rest, savedAtMs: Date.parse(savedAt) } }
}

function digest(body: string): string {
  return createHash('sha256').update(body, 'utf8').digest('hex')
}
