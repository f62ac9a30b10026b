/**
 * Regression on a CSV file by `tf.data` and `fitDataset`: how heavy is a penguin, by its bill and flippers? The pipeline
 * (parse, shuffle, scale, batch) is the program's own; `ctx.dataset` deals its batches to the workers in turn. Training
 * stops when the rows held back no longer profit; which epoch that is, all workers agree on, whoever is killed.
 *
 * npx troupe run examples/08-csv-regression.ts
 * npx troupe run examples/08-csv-regression.ts --kill worker-1@60 --kill worker-0@100/during-validation
 */
import * as tf from '@tensorflow/tfjs'
import { defineJob } from 'troupe'

/** The data lie in the sources, wherever this file was built to. */
const FILE = new URL('examples/data/penguins.csv', import.meta.resolve('troupe/package.json')).href

/** Mean and standard deviation of each column: bill length, bill depth, flipper length (mm), body mass (g). */
const SCALES = {
  bill_length_mm: [43.92, 5.45],
  bill_depth_mm: [17.15, 1.97],
  flipper_length_mm: [200.92, 14.04],
  body_mass_g: [4201.75, 800.78],
} as const

type Row = Record<keyof typeof SCALES, number>
type Example = { xs: number[]; ys: number[] }

function scaled(row: Partial<Row>): number[] {
  return Object.entries(SCALES).flatMap(([column, [mean, deviation]]) => {
    const value = row[column as keyof Row]
    return value === undefined ? [] : [(value - mean) / deviation]
  })
}

export default defineJob({
  workers: 2,
  parameterServers: 1,
  args: { epochs: 40, batchSize: 8, heldBack: 62 },

  async main({ epochs, batchSize, heldBack }, ctx) {
    const rows = tf.data
      .csv(FILE, { columnConfigs: { body_mass_g: { isLabel: true } } })
      .map(row => {
        const { xs, ys } = row as unknown as { xs: Partial<Row>; ys: Partial<Row> }
        return { xs: scaled(xs), ys: scaled(ys) }
      })
      // The file is sorted by species. Once and for all: what is held back must stay held back.
      .shuffle(
        342,
        'split',
        false,
      ) as tf.data.Dataset<tf.TensorContainer> as unknown as tf.data.Dataset<Example>
    const batches = rows.skip(heldBack).shuffle(280).batch(batchSize)
    const validationData = rows.take(heldBack).batch(heldBack) as tf.data.Dataset<never>

    const model = tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: [3], units: 16, activation: 'relu' }),
        tf.layers.dense({ units: 1 }),
      ],
    })
    model.compile({ optimizer: ctx.optimizer('adam', 0.01), loss: 'meanSquaredError' })
    const history = await model.fitDataset(ctx.dataset(batches) as tf.data.Dataset<never>, {
      epochs,
      verbose: 0,
      validationData,
      callbacks: tf.callbacks.earlyStopping({ monitor: 'val_loss', patience: 3 }),
    })
    const losses = history.history['val_loss'] as number[]
    const grams = Math.sqrt(losses.at(-1)!) * SCALES.body_mass_g[1]
    console.log('%d epochs; off by %d g (root mean square)', losses.length, Math.round(grams))
    return { epochs: losses.length, grams }
  },
})
