import type { OptimizerSpec } from './optimizer.js'

/** By which norm of the gradients an optimizer clips, if by any. */
export type NormClipping =
  | { readonly kind: 'none' }
  /** Each variable by its own norm. */
  | { readonly kind: 'variable'; readonly limit: number }
  /** All variables by the norm over all of them. */
  | { readonly kind: 'global'; readonly limit: number }

/** Tells whether a step needs {@link NormClipping norms} before its update. Clipping by value needs none. */
export function normClipping(spec: OptimizerSpec): NormClipping {
  const { clipNorm, globalClipNorm } = spec.options as { clipNorm?: number; globalClipNorm?: number }
  if (clipNorm !== undefined) return { kind: 'variable', limit: clipNorm }
  return globalClipNorm === undefined ? { kind: 'none' } : { kind: 'global', limit: globalClipNorm }
}

/**
 * What gradients of this norm are multiplied by, in float32: 1 up to the limit, limit / norm beyond. A norm that is
 * not finite gives NaN for all variables when it is the global one, as in TensorFlow; else 0 or NaN.
 */
export function clipFactor(clipping: NormClipping, norm: number): number {
  if (clipping.kind === 'none') return 1
  if (clipping.kind === 'global' && !Number.isFinite(norm)) return Number.NaN
  return Math.fround(clipping.limit / Math.max(norm, clipping.limit))
}
