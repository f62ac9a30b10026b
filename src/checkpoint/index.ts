/** Checkpoints: written whole or not at all, verified before use, loaded onto any number of shards. */
export { CheckpointAttempt, type CommitOutcome, type ShardReceipt } from './checkpoint-attempt.js'
export type { CheckpointEntry } from './checkpoint-entry.js'
export { Checkpoint, type StoredTensor } from './checkpoint.js'
export {
  CheckpointStore,
  type CheckpointStoreOptions,
  type NewestCheckpoint,
  type RetentionReport,
} from './checkpoint-store.js'
export { damageText, type CheckpointDamage, type DamageReason } from './damage.js'
export { filesError } from './files-error.js'
export type { CheckpointFiles, FileEntry, FileSink, FileStat, RenameOutcome } from './files.js'
export {
  FaultyFiles,
  randomDiskFaults,
  type DiskFaultRates,
  type FaultPlan,
  type FileFault,
  type FileOperation,
  type FileOperationKind,
} from './faulty-files.js'
export { LocalFiles } from './local-files.js'
export { MemoryFiles, type MemoryFilesOptions } from './memory-files.js'
export type { CheckpointManifest, FileReceipt, ManifestFacts } from './manifest.js'
export { CheckpointPlaces, LocalPlaces } from './places.js'
export { DEFAULT_KEEP_LAST, type RetentionPolicy } from './retention.js'
export { DEFAULT_STALE_ATTEMPT_MS } from './sweep.js'
export type { SliceInfo, TensorKey, TensorSlice } from './tensor-slice.js'
export type { Verification, VerifyDepth } from './verification.js'
export type { WantedInterval } from './verified-load.js'
