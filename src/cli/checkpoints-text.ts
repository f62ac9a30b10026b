import type { Checkpoint, CheckpointEntry, Verification, VerifyDepth } from '../checkpoint/index.js'
import { count, plural } from '../observe/figures.js'

/** A checkpoint and what a look at it said. */
export interface SeenCheckpoint {
  readonly entry: CheckpointEntry
  readonly depth: VerifyDepth
  readonly verification: Verification
}

const COLUMNS = ['step', 'epochs done', 'saved (UTC)', 'servers', 'size', 'folder', 'state']
const GAP = '  '

/** The list for people. */
export function checkpointTable(place: string, seen: readonly SeenCheckpoint[]): string[] {
  if (seen.length === 0) return [`${place} holds no checkpoints`]
  const first = seen.find(({ verification }) => verification.ok)
  const rows = seen.map(one => rowOf(one, one === first))
  const widths = COLUMNS.map((title, i) => Math.max(title.length, ...rows.map(row => row[i]!.length)))
  return [COLUMNS, ...rows].map(row =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join(GAP)
      .trimEnd(),
  )
}

function rowOf({ entry, depth, verification }: SeenCheckpoint, newest: boolean): string[] {
  if (!verification.ok) {
    return [count(entry.step), '', '', '', '', entry.directory, `damaged: ${verification.damage.what}`]
  }
  const { manifest } = verification.checkpoint
  const sound = depth === 'full' ? 'verified' : 'complete'
  return [
    count(entry.step),
    String(manifest.epoch),
    time(manifest.savedAtMs),
    String(manifest.shards),
    size(totalBytes(verification.checkpoint)),
    entry.directory,
    newest ? `${sound}; a resumed job begins here` : sound,
  ]
}

/** One checkpoint for people: what it is, its files, its tensors. */
export function checkpointDetails({ entry, depth, verification }: SeenCheckpoint): string[] {
  const head = `step ${count(entry.step)}, in ${entry.directory}`
  if (!verification.ok) return [head, `${GAP}damaged: ${verification.damage.what}`]
  const { checkpoint } = verification
  const { job, epoch, savedAtMs, shards, fingerprint, versions, files } = checkpoint.manifest
  const nameWidth = Math.max(...files.map(({ file }) => file.length))
  return [
    head,
    `${GAP}job        ${job}, ${plural(epoch, 'epoch')} done, saved ${time(savedAtMs)} UTC`,
    `${GAP}servers    ${shards}, ${size(totalBytes(checkpoint))}`,
    `${GAP}computed   ${facts(fingerprint)}`,
    `${GAP}versions   ${facts(versions)}`,
    `${GAP}state      ${depth === 'full' ? 'verified: every byte was read' : 'complete; --verify reads every byte'}`,
    `${GAP}files`,
    ...files.map(
      ({ file, bytes, sha256 }) =>
        `${GAP}${GAP}${file.padEnd(nameWidth)}  ${size(bytes).padStart(9)}  SHA-256 ${sha256}`,
    ),
    `${GAP}${plural(variables(checkpoint).length, 'variable')}`,
    ...variableLines(checkpoint),
  ]
}

/** One checkpoint for programs. */
export function checkpointRecord(
  { entry, depth, verification }: SeenCheckpoint,
  withContents: boolean,
): Record<string, unknown> {
  const { generation, step, closed, directory } = entry
  const place = { event: 'checkpoint', generation, step, directory, closed, checked: depth }
  if (!verification.ok) {
    const { reason, file, what } = verification.damage
    return { ...place, ok: false, reason, file, what }
  }
  const { manifest } = verification.checkpoint
  const { job, epoch, savedAtMs, shards, files, fingerprint, versions, layout } = manifest
  const savedAt = new Date(savedAtMs).toISOString()
  const bytes = totalBytes(verification.checkpoint)
  const brief = { ...place, ok: true, job, epoch, savedAt, shards, bytes }
  if (!withContents) return brief
  return { ...brief, fingerprint, versions, layout, files, tensors: verification.checkpoint.tensors() }
}

/** Without the manifest's own. */
function totalBytes(checkpoint: Checkpoint): number {
  return checkpoint.manifest.files.reduce((sum, { bytes }) => sum + bytes, 0)
}

interface VariableText {
  readonly name: string
  readonly shape: string
  readonly kinds: string[]
}

/** Weights and slots of one variable belong on one line. */
function variables(checkpoint: Checkpoint): VariableText[] {
  const found = new Map<string, VariableText>()
  for (const { variable, kind, shape } of checkpoint.tensors()) {
    const known = found.get(variable)
    if (known !== undefined) known.kinds.push(kind)
    else found.set(variable, { name: variable, shape: `[${shape.join(', ')}]`, kinds: [kind] })
  }
  return [...found.values()]
}

function variableLines(checkpoint: Checkpoint): string[] {
  const found = variables(checkpoint)
  const nameWidth = Math.max(0, ...found.map(({ name }) => name.length))
  const shapeWidth = Math.max(0, ...found.map(({ shape }) => shape.length))
  return found.map(
    ({ name, shape, kinds }) =>
      `${GAP}${GAP}${name.padEnd(nameWidth)}  ${shape.padEnd(shapeWidth)}  ${kinds.sort(weightsFirst).join(', ')}`,
  )
}

function weightsFirst(a: string, b: string): number {
  return Number(b === 'weights') - Number(a === 'weights') || (a < b ? -1 : 1)
}

/** `backend wasm, node v20.11.0`, of plain JSON. */
function facts(value: unknown): string {
  if (typeof value !== 'object' || value === null) return value == null ? 'not told' : JSON.stringify(value)
  return Object.entries(value)
    .map(([name, fact]) => `${name} ${typeof fact === 'string' ? fact : JSON.stringify(fact)}`)
    .join(', ')
}

/** `2026-09-21 14:13:20` */
function time(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB']

/** `460 bytes`, `48.2 MB`: decimal units, as disks are sold. */
function size(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${UNITS[power]!}`
}
