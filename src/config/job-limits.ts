/** What a job may ask for: in its definition and on the command line alike. */

/** @default of `workers` */
export const DEFAULT_WORKERS = 1
/** @default of `parameterServers` */
export const DEFAULT_PARAMETER_SERVERS = 1
/** @default of `staleness`: exact mode */
export const DEFAULT_STALENESS = 0
/** @default of `seed` */
export const DEFAULT_SEED = 1
/** @default of the time between two checkpoints, in milliseconds */
export const DEFAULT_CHECKPOINT_INTERVAL_MS = 2_000

/** In one process each worker is a thread with a TensorFlow of its own: 100 MB and more. */
export const MAX_WORKERS = 64
export const MAX_PARAMETER_SERVERS = 64
/** Seeds are unsigned 32-bit numbers. */
export const MAX_SEED = 0xffff_ffff
