export type { JobView } from './job-view.js'
export { JsonView } from './json-view.js'
export { LiveView, REDRAW_EVERY_MS } from './live-view.js'
export { DEFAULT_COLUMNS, streamOutput, type Output } from './output.js'
export { DEFAULT_STATUS_EVERY_MS, PlainView } from './plain-view.js'
export { reportLines, straggler, type Straggler } from './report.js'
export { RATE_WINDOW_MS, RunProgress } from './run-progress.js'
export {
  DEFAULT_LOG_LEVEL,
  LOG_LEVELS,
  textLogger,
  type LogLevel,
  type TextLoggerOptions,
} from './text-logger.js'
