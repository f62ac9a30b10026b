import type * as Tfjs from '@tensorflow/tfjs'
import { TroupeError } from '../errors.js'
import { TFJS_BACKENDS, type BackendName } from './backend-name.js'

/** Kernels that gradients through a layer run, over those that every backend has. */
interface GradientKernels {
  /** For its own weights. */
  readonly weights: readonly string[]
  /** For its input, when something before it is trained. */
  readonly input: readonly string[]
}

const CONV: GradientKernels = { weights: ['Conv2DBackpropFilter'], input: ['Conv2DBackpropInput'] }
const CONV_3D: GradientKernels = { weights: ['Conv3DBackpropFilterV2'], input: ['Conv3DBackpropInputV2'] }

/** By the class name that tfjs gives a layer. A class that is not here needs nothing special. */
const KERNELS: Readonly<Record<string, GradientKernels>> = {
  Conv1D: CONV,
  Conv2D: CONV,
  // With a linear activation tfjs fuses bias and convolution, and computes all gradients of that or none.
  'Conv2D linear': { weights: CONV.weights, input: [...CONV.weights, ...CONV.input] },
  Conv2DTranspose: { weights: ['Conv2DBackpropFilter'], input: ['Conv2D'] },
  ConvLSTM2D: CONV,
  Conv3D: CONV_3D,
  DepthwiseConv2D: {
    weights: ['DepthwiseConv2dNativeBackpropFilter'],
    input: ['DepthwiseConv2dNativeBackpropInput'],
  },
  SeparableConv2D: {
    weights: ['DepthwiseConv2dNativeBackpropFilter', 'Conv2DBackpropFilter', 'Conv2DBackpropInput'],
    input: ['DepthwiseConv2dNativeBackpropInput', 'Conv2DBackpropInput'],
  },
  Embedding: { weights: ['UnsortedSegmentSum'], input: [] },
}

type Layer = Tfjs.layers.Layer

/** A layer that holds another: `TimeDistributed` one, `Bidirectional` a copy for each direction. */
type Wrapper = Layer & {
  readonly layer?: Layer
  readonly forwardLayer?: Layer
  readonly backwardLayer?: Layer
}

/** Where a model meets a kernel that the backend lacks. */
export interface MissingGradient {
  /** Names from the outermost model inwards, joined by `/`. */
  readonly layer: string
  readonly className: string
  readonly kernels: readonly string[]
}

/**
 * Refuses a model whose gradients this backend cannot compute, before its first step rather than in it. Nested
 * models and wrapped layers are looked into; frozen layers count only if something before them is trained.
 * Layers that users wrote are not known here: {@link backendError} explains what they meet.
 *
 * @throws ERR_BACKEND_CANNOT_TRAIN, which names every such layer and the missing kernels
 */
export function checkTrainable(tf: typeof Tfjs, model: Tfjs.LayersModel, backend: BackendName): void {
  const missing = missingGradients(tf, model, backend)
  if (missing.length === 0) return
  const list = missing.map(m => `layer ${m.layer} (${m.className}) needs ${m.kernels.join(', ')}`)
  throw new TroupeError(
    'ERR_BACKEND_CANNOT_TRAIN',
    `the ${backend} backend cannot train this model: ${list.join('; ')}`,
    {
      data: { backend, missing },
    },
  )
}

/** As {@link checkTrainable}, as a list. */
export function missingGradients(
  tf: typeof Tfjs,
  model: Tfjs.LayersModel,
  backend: BackendName,
): MissingGradient[] {
  const found: MissingGradient[] = []
  const trained = new Set(model.trainableWeights.map(weight => weight.id))
  visitModel(model, false, '', {
    trained,
    lacks: kernel => tf.getKernel(kernel, TFJS_BACKENDS[backend]) === undefined,
    report: missing => found.push(missing),
  })
  return found
}

interface Visit {
  /** Ids of the weights that a training step updates. */
  readonly trained: ReadonlySet<number>
  readonly lacks: (kernel: string) => boolean
  readonly report: (missing: MissingGradient) => void
}

/** @param fed whether something is trained before this model's inputs */
function visitModel(model: Tfjs.LayersModel, fed: boolean, prefix: string, visit: Visit): void {
  const layers = new Set<Layer>(model.layers)
  const known = new Map<Layer, boolean>()
  /** Does a gradient flow back through this layer's output? */
  const flows = (layer: Layer): boolean => {
    const before = known.get(layer)
    if (before !== undefined) return before
    known.set(layer, false)
    const result = isTrained(layer, visit) || inputFlows(layer)
    known.set(layer, result)
    return result
  }
  /** Does one flow back into it? */
  const inputFlows = (layer: Layer): boolean => {
    const sources = layer.inboundNodes.flatMap(node => node.inboundLayers)
    const inside = sources.filter(source => layers.has(source))
    return inside.length < sources.length || sources.length === 0
      ? fed || inside.some(flows)
      : inside.some(flows)
  }
  for (const layer of model.layers) visitLayer(layer, inputFlows(layer), prefix, visit)
}

function visitLayer(layer: Layer, fed: boolean, prefix: string, visit: Visit): void {
  const name = `${prefix}${layer.name}`
  if (isModel(layer)) return visitModel(layer, fed, `${name}/`, visit)
  const { layer: wrapped, forwardLayer, backwardLayer } = layer as Wrapper
  for (const inner of new Set([wrapped, forwardLayer, backwardLayer])) {
    if (inner !== undefined) visitLayer(inner, fed, `${name}/`, visit)
  }
  const className = layer.getClassName()
  const needs = gradientKernels(layer, className)
  if (needs === undefined) return
  const kernels = [...(isTrained(layer, visit) ? needs.weights : []), ...(fed ? needs.input : [])]
  const lacking = [...new Set(kernels)].filter(visit.lacks)
  if (lacking.length > 0) visit.report({ layer: name, className, kernels: lacking })
}

function gradientKernels(layer: Layer, className: string): GradientKernels | undefined {
  const { activation } = layer as { activation?: { getClassName(): string } }
  const key = `${className} ${activation?.getClassName() ?? ''}`
  return Object.hasOwn(KERNELS, key)
    ? KERNELS[key]
    : Object.hasOwn(KERNELS, className)
      ? KERNELS[className]
      : undefined
}

function isTrained(layer: Layer, visit: Visit): boolean {
  return layer.weights.some(weight => visit.trained.has(weight.id))
}

function isModel(layer: Layer): layer is Tfjs.LayersModel {
  return Array.isArray((layer as Partial<Tfjs.LayersModel>).layers)
}

const MISSING_KERNEL = /Kernel '(\w+)' not registered for backend '(\w+)'/

/**
 * What tfjs throws for a kernel that the backend lacks, as ERR_BACKEND_CANNOT_TRAIN; any other error as it is.
 */
export function backendError(error: unknown): unknown {
  const match = error instanceof Error ? MISSING_KERNEL.exec(error.message) : null
  if (match === null) return error
  const [, kernel = '', tfjsName = ''] = match
  const backend = Object.entries(TFJS_BACKENDS).find(([, name]) => name === tfjsName)?.[0] ?? tfjsName
  return new TroupeError('ERR_BACKEND_CANNOT_TRAIN', `the ${backend} backend has no kernel ${kernel}`, {
    data: { backend, kernels: [kernel] },
    cause: error,
  })
}
