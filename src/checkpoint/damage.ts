/** Why a checkpoint cannot be used. */
export type DamageReason =
  | 'manifest-missing'
  | 'manifest-damaged'
  /** A version of the format that this Troupe does not know. */
  | 'version-unknown'
  | 'file-missing'
  | 'file-length'
  | 'file-digest'
  | 'file-unreadable'
  | 'header-damaged'
  /** Elements are lacking, or there twice. */
  | 'slices-inconsistent'

export interface CheckpointDamage {
  readonly generation: number
  readonly step: number
  /** Relative to the place. */
  readonly directory: string
  readonly reason: DamageReason
  /** Name within the directory. */
  readonly file: string
  /** For people: what was found and what was expected. */
  readonly what: string
}

/** `g0007/step-000001200: shard-00-of-02.safetensors has 4096 bytes; the manifest says 8192` */
export function damageText(damage: CheckpointDamage): string {
  return `${damage.directory}: ${damage.what}`
}
