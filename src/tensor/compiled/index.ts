export { compileStep, type CompiledStep, type CompileOptions } from './compile-step.js'
export type { Step } from './probe.js'
export type { Refusal, RefusalKind } from './refusal.js'
