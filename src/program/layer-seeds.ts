import type * as Tfjs from '@tensorflow/tfjs'

/** A random preprocessing layer counts its seed up at each draw, hidden from `Math.random`. */
interface RandomLayer {
  readonly randomGenerator: { seed: number | undefined }
}

type Layer = Tfjs.layers.Layer & Partial<RandomLayer> & Partial<Pick<Tfjs.LayersModel, 'layers'>>

/** Seeds for the draws of one step. */
const SEEDS_PER_STEP = 1024

/**
 * Layers of a model that were given a seed and count it up (`RandomWidth`): makes the count a function of the step, so
 * that it does not matter whether the steps before were computed.
 */
export class LayerSeeds {
  readonly #layers: readonly { readonly generator: RandomLayer['randomGenerator']; readonly first: number }[]

  constructor(model: Tfjs.LayersModel) {
    this.#layers = [...randomLayers(model.layers)].flatMap(({ randomGenerator: generator }) =>
      generator.seed === undefined ? [] : [{ generator, first: generator.seed }],
    )
  }

  /** @param step from 0: how many were made */
  reseed(step: number): void {
    for (const { generator, first } of this.#layers) generator.seed = first + step * SEEDS_PER_STEP
  }
}

function* randomLayers(layers: readonly Layer[]): Generator<RandomLayer> {
  for (const layer of layers) {
    if (layer.randomGenerator !== undefined) yield layer as RandomLayer
    if (layer.layers !== undefined) yield* randomLayers(layer.layers)
  }
}
