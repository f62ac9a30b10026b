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
export { makeCertificates, type Certificates } from './nats/certificates.js'
export { NatsCluster, type NatsClusterOptions } from './nats/nats-cluster.js'
export type { NatsConfig } from './nats/nats-config.js'
export { NatsEngine } from './nats/nats-engine.js'
export { NatsServer, type NatsServerOptions } from './nats/nats-server.js'
export { HdfsCluster, type HdfsClusterOptions } from './hdfs/hdfs-cluster.js'
export { HdfsMember } from './hdfs/hdfs-member.js'
