/**
 * No layers, no `fit`: variables, a loss and a plain loop over `optimizer.minimize`. The workers fit a cubic polynomial
 * to noisy points, each to its share of them. What `minimize` returns is the loss over all workers, so each of them stops
 * at the same step; killed on the way, a worker is taken through its loop by what `minimize` returned before.
 *
 * npx troupe run examples/09-minimize-loop.ts
 * npx troupe run examples/09-minimize-loop.ts --kill worker-1@10/after-push:ps-0 --kill worker-0@30
 */
import * as tf from '@tensorflow/tfjs'
import { defineJob } from 'troupe'

const TRUTH = [-0.8, -0.2, 0.9, 0.5]

function polynomial(x: tf.Tensor, coefficients: readonly tf.Tensor[]): tf.Tensor {
  return coefficients.reduce((sum, coefficient) => sum.mul(x).add(coefficient), tf.zerosLike(x))
}

export default defineJob({
  workers: 2,
  parameterServers: 2,
  args: { points: 200, maxSteps: 400, goal: 0.0104 },

  main({ points, maxSteps, goal }, ctx) {
    // Every worker draws the same points: randomness differs between workers only after the first step.
    const allX = tf.randomUniform([points], -1, 1)
    const noise = tf.randomNormal([points], 0, 0.1)
    const [x, y] = ctx.partition(
      allX,
      polynomial(
        allX,
        TRUTH.map(c => tf.scalar(c)),
      ).add(noise),
    )

    const coefficients = TRUTH.map((_, i) => tf.variable(tf.scalar(0), true, `c${i}`))
    const optimizer = ctx.optimizer('momentum', {
      learningRate: {
        schedule: 'exponentialDecay',
        initialLearningRate: 0.2,
        decaySteps: 100,
        decayRate: 0.7,
      },
      momentum: 0.9,
    })
    let loss = Infinity
    let steps = 0
    while (loss > goal && steps < maxSteps) {
      loss = tf.tidy(() => {
        const cost = optimizer.minimize(
          () => tf.losses.meanSquaredError(y, polynomial(x, coefficients)),
          true,
          coefficients,
        )
        return cost!.dataSync()[0]!
      })
      steps++
    }
    const found = coefficients.map(c => c.dataSync()[0]!.toFixed(2))
    console.log('%d steps to a loss of %s: %s', steps, loss.toFixed(4), found.join(' '))
    return { steps, loss, coefficients: found.map(Number) }
  },
})
