/** Names of the folders and files of a place with checkpoints. They order by text as they do by number. */

const GENERATION_DIGITS = 4
const STEP_DIGITS = 9
const SHARD_DIGITS = 2

export const MANIFEST_FILE = 'manifest.json'
export const STATE_FILE = 'state.msgpack'
/** In a generation's folder: what is being written, or being removed. */
export const TEMPORARY_FOLDER = '.tmp'
const CLOSED = '.closed'

/** `g0007`, `g0007.closed` */
export function generationFolder(generation: number, closed = false): string {
  return `g${digits(generation, GENERATION_DIGITS)}${closed ? CLOSED : ''}`
}

/** `step-000001200` */
export function stepFolder(step: number): string {
  return `step-${digits(step, STEP_DIGITS)}`
}

/** `shard-00-of-02.safetensors` */
export function shardFile(shard: number, shards: number): string {
  return `shard-${digits(shard, SHARD_DIGITS)}-of-${digits(shards, SHARD_DIGITS)}.safetensors`
}

export function parseGenerationFolder(name: string): { generation: number; closed: boolean } | undefined {
  const match = /^g(\d{4,})(\.closed)?$/.exec(name)
  if (match === null) return undefined
  const generation = Number(match[1])
  const closed = match[2] !== undefined
  return generationFolder(generation, closed) === name ? { generation, closed } : undefined
}

export function parseStepFolder(name: string): number | undefined {
  const match = /^step-(\d{9,})$/.exec(name)
  const step = Number(match?.[1])
  return match !== null && stepFolder(step) === name ? step : undefined
}

export function parseShardFile(name: string): { shard: number; shards: number } | undefined {
  const match = /^shard-(\d{2,})-of-(\d{2,})\.safetensors$/.exec(name)
  if (match === null) return undefined
  const shard = Number(match[1])
  const shards = Number(match[2])
  return shardFile(shard, shards) === name && shard < shards ? { shard, shards } : undefined
}

/** Parts of a path, one below the other. */
export function joinPath(...parts: readonly string[]): string {
  return parts.filter(part => part !== '').join('/')
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0')
}
