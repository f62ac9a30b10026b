export { cacheRoot } from './cache-root.js'
export { EngineCache, type CachedEngine, type ProvisionOptions } from './engine-cache.js'
export {
  ENGINE_NAMES,
  type Check,
  type Engine,
  type EngineName,
  type EngineSource,
  type ExamineOptions,
  type FoundEngine,
  type InstallOptions,
  type InstallProgress,
} from './engine.js'
export { megabytes } from './megabytes.js'
export { HdfsEngine } from './hdfs/hdfs-engine.js'
export { TrialHdfs, type TrialHdfsOptions } from './hdfs/trial-hdfs.js'
export { TensorFlowEngine } from './tensorflow/tensorflow-engine.js'
