// npm run soak -- NAME [--count N] [--seed S]

import { checkName, integerOption, readCommandLine, runMain, UsageError } from '../helpers/options.js'

/** Every soak: a module of this folder that exports `soak(options)`. */
const SOAKS = ['wire', 'simulation', 'training'] as const

/** How a soak is asked for. */
export interface SoakOptions {
  /** How often to try; the soak's own default if it was not given. */
  readonly count?: number
  /** What the same run begins from; printed, so that a failure can be repeated. */
  readonly seed: number
}

/** Rejects, or throws, when a promise was broken; returns what to print when all held. */
export type Soak = (options: SoakOptions) => string | Promise<string>

const DEFAULT_SEED = 1

const USAGE = `npm run soak -- NAME [options]

  NAME       a soak: ${SOAKS.join(', ')}
  --count N  how often to try (each soak has its own default)
  --seed S   what the run begins from (default ${DEFAULT_SEED}); the same seed gives the same run
`

await runMain(async () => {
  const { values, positionals } = readCommandLine({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      count: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return void process.stdout.write(USAGE)
  const [asked, ...others] = positionals
  if (asked === undefined || others.length > 0) {
    throw new UsageError(`name one soak, got ${positionals.length}\n\n${USAGE}`)
  }
  const name = checkName('soak', asked, SOAKS)
  const seed = integerOption('seed', values.seed, DEFAULT_SEED, 0)
  const { soak } = (await import(`./${name}.js`)) as { soak: Soak }
  process.stdout.write(`soak ${name}, seed ${seed}\n`)
  const count = values.count === undefined ? {} : { count: integerOption('count', values.count, 0, 1) }
  process.stdout.write(`${await soak({ seed, ...count })}\n`)
})
