/** The door `troupe/actors`: jobs, and the actors that they are made of. */
export { Feeder, type FeederArgs } from './feeder.js'
export type { JobHandle } from './job-handle.js'
export type { JobSpec } from './job-spec.js'
export { JobSupervisor } from './job-supervisor.js'
export { ParameterServer, type ParameterServerArgs } from './parameter-server.js'
export { runJob, type RunJobOptions } from './run-job.js'
export { Worker, type WorkerArgs } from './worker.js'
