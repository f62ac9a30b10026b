export {
  DEFAULT_CHECKPOINT_INTERVAL_MS,
  DEFAULT_PARAMETER_SERVERS,
  DEFAULT_SEED,
  DEFAULT_STALENESS,
  DEFAULT_WORKERS,
  MAX_PARAMETER_SERVERS,
  MAX_SEED,
  MAX_WORKERS,
} from './job-limits.js'
export {
  checkKill,
  KILL_FORMS,
  killAt,
  parseKill,
  type FaultPhase,
  type FaultPoint,
  type KillSpec,
} from './kill-spec.js'
export { parseOptions } from './parse.js'
