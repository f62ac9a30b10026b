/**
 * A job that is interrupted and goes on: with a folder for checkpoints, Ctrl-C takes a last one, and `--resume` goes on
 * at the row where it was, on as many parameter servers or another number. The weights end as if nobody had pressed
 * anything; compare their SHA-256 with that of a run that is left alone. Epochs that are over are not printed again:
 * they are replayed from the journal, in which callbacks see what they saw then.
 *
 * npx troupe run examples/10-resume.ts --checkpoints /tmp/wave            (and press Ctrl-C)
 * npx troupe run examples/10-resume.ts --checkpoints /tmp/wave --resume --servers 3
 * npx troupe run examples/10-resume.ts
 * npx troupe checkpoints /tmp/wave
 */
import * as tf from '@tensorflow/tfjs'
import { arrays, defineJob } from 'troupe'

/** Points of a wave that gets faster and faster. */
function wave(points: number) {
  const xs = Float32Array.from({ length: points }, (_, i) => (2 * i) / points - 1)
  return arrays({ xs, ys: xs.map(x => Math.sin(4 * x * x + 3 * x)), xShape: [1] })
}

export default defineJob({
  workers: 2,
  parameterServers: 2,
  args: { points: 3000, epochs: 12, batchSize: 32 },

  async main({ points, epochs, batchSize }, ctx) {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: [1], units: 32, activation: 'tanh' }),
        tf.layers.dropout({ rate: 0.05 }),
        tf.layers.dense({ units: 32, activation: 'tanh' }),
        tf.layers.dense({ units: 1 }),
      ],
    })
    model.compile({ optimizer: ctx.optimizer('adam', 3e-3), loss: 'meanSquaredError' })
    const { history } = await model.fitDataset(ctx.dataset(wave(points), { batchSize }), {
      epochs,
      verbose: 0,
      callbacks: {
        onEpochEnd: (epoch, logs) => {
          if (ctx.role === 'chief') console.log('epoch %d: loss %s', epoch + 1, logs!['loss']!.toFixed(4))
        },
      },
    })
    const losses = history['loss'] as number[]
    return { epochs: losses.length, best: Math.min(...losses) }
  },
})
