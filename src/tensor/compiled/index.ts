export { compileStep, type CompiledStep, type CompileOptions } from './compile-step.js'
export {
  CompiledSteps,
  DEFAULT_MAX_GRAPHS,
  type CompiledStepsOptions,
  type StepChoice,
} from './compiled-steps.js'
export type { Step } from './probe.js'
export type { Refusal, RefusalKind } from './refusal.js'
