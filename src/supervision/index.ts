export {
  compileSupervision,
  DEFAULT_BACKOFF_BASE_MS,
  DEFAULT_BACKOFF_FACTOR,
  DEFAULT_BACKOFF_JITTER,
  DEFAULT_BACKOFF_MAX_MS,
  DEFAULT_MAX_RESTARTS,
  DEFAULT_WITHIN_MS,
  supervisionOf,
  supervisionSchema,
  type BackoffOptions,
  type Directive,
  type FailedChild,
  type Strategy,
  type Supervision,
  type SupervisionOptions,
} from './options.js'
export { Supervisor } from './supervisor.js'
