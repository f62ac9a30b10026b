import type * as Tfjs from '@tensorflow/tfjs'
import { seedMathRandom } from '../../determinism/index.js'
import { describe } from '../../errors.js'
import { aroundChecks } from './checking-kernels.js'
import type { NativeBackend } from './native-binding.js'
import { StepRefused } from './refusal.js'
import { StepRecorder, type InputOrigin } from './step-recorder.js'
import type { StepTrace } from './step-trace.js'

/** One training step: what it is given and returns beside the variables that it reads and assigns. */
export type Step = (batch: readonly Tfjs.Tensor[]) => readonly Tfjs.Tensor[]

/** What a probe's step is computed on. */
export interface ProbeInputs {
  readonly variables: readonly Tfjs.Tensor[]
  readonly batch: readonly Tfjs.Tensor[]
  readonly seed: number
  /** Of what the step brings from JavaScript. */
  readonly maxConstantBytes: number
}

/** A step that was computed to look at it: what it did, and what came of it. */
export interface Probe {
  readonly trace: StepTrace
  /** Of its outputs, then of its updates. */
  readonly values: readonly Tfjs.TypedArray[]
}

/**
 * Computes a step on values of its own and records it. Afterwards the variables and `Math.random` are what they were.
 *
 * @throws StepRefused when no graph can do what the step does
 */
export function probe(
  tf: typeof Tfjs,
  backend: NativeBackend,
  step: Step,
  variables: readonly Tfjs.Variable[],
  inputs: ProbeInputs,
): Probe {
  const before = variables.map(variable => tf.keep(variable.clone()))
  for (const [i, variable] of variables.entries()) variable.assign(inputs.variables[i]!)
  const recorder = new StepRecorder(backend, originsOf(backend, inputs), inputs.maxConstantBytes)
  const random = seedMathRandom(inputs.seed, recorder.drew)
  let outputs: readonly Tfjs.Tensor[] = []
  try {
    const made = recorder.during(() => {
      outputs = aroundChecks(tf, recorder.whileChecking, () =>
        tf.tidy(() => ask(step, inputs.batch) as Tfjs.Tensor[]),
      )
      const updates = variables.flatMap((variable, i) =>
        variable.dataId === inputs.variables[i]!.dataId ? [] : [i],
      )
      const ends = [...outputs, ...updates.map(i => variables[i]!)]
      // Asking for their handles brings over what still waits in JavaScript, under the recorder's eyes.
      return { updates, ends, ids: backend.getInputTensorIds(ends) }
    })
    const edges = made.ids.map(id => recorder.edge(id))
    const count = outputs.length
    const trace = recorder.trace(
      edges.slice(0, count),
      made.updates.map((variable, i) => ({ variable, value: edges[count + i]! })),
    )
    const values = made.ends.map(valuesOf)
    return { trace, values }
  } finally {
    random.restore()
    const given = new Set<Tfjs.Tensor>([...inputs.batch, ...variables])
    for (const output of outputs) if (!given.has(output)) output.dispose()
    for (const [i, variable] of variables.entries()) {
      variable.assign(before[i]!)
      before[i]!.dispose()
    }
  }
}

/** A copy of what is in a tensor. */
export function valuesOf(tensor: Tfjs.Tensor): Tfjs.TypedArray {
  return tensor.dataSync().slice()
}

function ask(step: Step, batch: readonly Tfjs.Tensor[]): readonly Tfjs.Tensor[] {
  let outputs: readonly Tfjs.Tensor[] | Promise<unknown>
  try {
    outputs = step(batch)
  } catch (error) {
    const why = error instanceof Error ? error.message : describe(error)
    throw new StepRefused('step-failed', `the step failed while it was traced: ${why}`, error)
  }
  if (Array.isArray(outputs)) return outputs as readonly Tfjs.Tensor[]
  throw new StepRefused('step-waits', 'the step returns a promise: it may do more once it was waited for')
}

function originsOf(backend: NativeBackend, { variables, batch }: ProbeInputs): Map<number, InputOrigin> {
  const origins = new Map<number, InputOrigin>()
  const add = (from: InputOrigin['from'], tensors: readonly Tfjs.Tensor[]): void => {
    for (const [index, id] of backend.getInputTensorIds(tensors).entries()) origins.set(id, { from, index })
  }
  add('batch', batch)
  add('variable', variables)
  return origins
}
