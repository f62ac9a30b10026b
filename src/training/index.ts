/** The door `troupe/training`: for authors of training actors. Pure: no actor, no clock, no I/O. */
export { BatchFeed, type GatherRows } from './batch-feed.js'
export {
  BatchRing,
  DEFAULT_RING_SLOTS,
  type BatchAddress,
  type RingBatch,
  type RingShape,
} from './batch-ring.js'
export { NUMBERS_PER_SLICE, type Attachment } from './attached-worker.js'
export { atomicBells, Bells, localBells, type Bell, type BellListener } from './bell.js'
export { ExchangeRegion, PARKED, type PushRecord, type RegionShape } from './exchange-region.js'
export {
  assemble,
  introducedSlices,
  introducedValues,
  JobModel,
  type PartVariable,
  type PlacedPart,
} from './job-model.js'
export {
  DEFAULT_JOURNAL_MAX_STEPS,
  EMPTY_JOURNAL,
  Journal,
  JournalReader,
  type EpochLog,
  type JournalEntry,
  type JournalImage,
} from './journal.js'
export { imbalance, MAX_SHARD_BYTES, planLayout, shardElements, type Slice } from './layout.js'
export { Ledger, type PushHeader, type Verdict, type WorkerId } from './ledger.js'
export { assertSamePart, elementCount, type ModelPart, type VariableSpec } from './model-spec.js'
export { clipFactor, normClipping, type NormClipping } from './clipping.js'
export { GenerationFence } from './generation-fence.js'
export { gradientNorms, normBlocks, type BlockSums, type GradientNorms } from './gradient-norm.js'
export { kernels } from './kernels/choose-kernels.js'
export {
  KERNEL_SCRATCH_BYTES,
  NORM_BLOCK_ELEMENTS,
  type Kernels,
  type UpdateElements,
} from './kernels/kernels.js'
export { PlainKernels } from './kernels/plain-kernels.js'
export {
  reduceAndUpdate,
  scaleAndUpdate,
  type SliceElements,
  type SlicePushes,
} from './kernels/slice-update.js'
export { MAX_PAGES, PAGE_BYTES, sharedMemory, type SharedMemory } from './kernels/web-assembly.js'
export type { OptimizerOptions, OptionValue } from './optimizer-options.js'
export { missedOnce, onceKey } from './once-key.js'
export {
  OPTIMIZER_NAMES,
  optimizerSpec,
  slotsOf,
  updateStep,
  type OptimizerName,
  type OptimizerSpec,
  type UpdateStep,
} from './optimizer.js'
export { learningRateAt, SCHEDULE_NAMES, type LearningRateSchedule } from './schedule.js'
export type { SlotSpec } from './update-rule.js'
export { Permutation } from './permutation.js'
export { reduceOutputs } from './reduction.js'
export { datasetSeed, SamplePlan, type SamplePlanSpec } from './sample-plan.js'
export { MAX_OUTPUTS, ShardArea, type Answer, type AreaWait } from './shard-area.js'
export type { NormSums } from './norm-exchange.js'
export type { RefusedPush } from './push-desk.js'
export {
  RankExchange,
  type ExchangedSlice,
  type Obstacle,
  type PushSteps,
  type RankExchangeParts,
} from './rank-exchange.js'
export type { ClosedStep, ShardOptions } from './shard-core.js'
export { Shard } from './shard.js'
export type { Enlisted, ShardCut, ShardScan } from './shard-scan.js'
export type { Repeated } from './shard-record.js'
export { ShardMemory } from './shard-memory.js'
export {
  slotKind,
  SnapshotReader,
  WEIGHTS_KIND,
  type SnapshotTensor,
  type TensorInterval,
} from './snapshot.js'
export { decodeJobState, encodeJobState, type JobFacts, type JobState } from './job-state.js'
export { STEP_PHASES, type PhaseTimes, type StepPhase } from './step-phase.js'
export type { Staleness, TrainingState } from './training-state.js'
export { weightsSha256 } from './weights-hash.js'
