// A bench is a list of arms. Arms run interleaved (A B C, A B C, …), so that a slow minute of the machine hits
// all of them; a figure is the median of an arm's rounds. Bars compare figures of one run, never of two.

/** One figure: what is measured, in what unit, and which way is better. */
export interface Arm {
  /** Name of the figure, such as `tell` or `tell-floor`. */
  readonly case: string
  readonly unit: string
  readonly better: 'higher' | 'lower'
  /** Measures once. What it sets up, it takes down. */
  readonly run: () => number | Promise<number>
}

/** What a bench promises of its own figures. */
export interface Bar {
  readonly case: string
  /** Another case of the same bench: the bar is on `case / against`. Left out: on the figure itself. */
  readonly against?: string
  readonly atLeast?: number
  readonly atMost?: number
}

export interface Figure {
  readonly bench: string
  readonly case: string
  /** Median of the rounds. */
  readonly value: number
  readonly unit: string
  /** How many rounds were measured. */
  readonly samples: number
  readonly min: number
  readonly max: number
  readonly better: Arm['better']
}

export interface BarResult {
  readonly bench: string
  /** The bar in words: `tell >= 20 x tell-nact`. */
  readonly bar: string
  readonly value: number
  readonly met: boolean
}

/** What a bench says of itself while it is set up. */
export interface BenchBuilder {
  arm(arm: Arm): void
  bar(bar: Bar): void
  /** Takes down what the arms share, after the last round; last added, first run. */
  after(close: () => void | Promise<void>): void
}

export interface Bench {
  readonly name: string
  /** npm packages whose versions belong beside the figures. */
  readonly packages: readonly string[]
  readonly describe: (b: BenchBuilder) => void | Promise<void>
}

/** Declares a bench; its module exports it as default. */
export function defineBench(
  name: string,
  describe: Bench['describe'],
  options: { readonly packages?: readonly string[] } = {},
): Bench {
  return { name, describe, packages: options.packages ?? [] }
}

export interface BenchRun {
  readonly figures: readonly Figure[]
  readonly bars: readonly BarResult[]
}

/** Runs one round more than `rounds`: the first warms up and is not measured. */
export async function runBench(
  bench: Bench,
  options: { readonly rounds: number; readonly progress?: (text: string) => void },
): Promise<BenchRun> {
  const arms: Arm[] = []
  const bars: Bar[] = []
  const closers: (() => void | Promise<void>)[] = []
  try {
    await bench.describe({
      arm: arm => void arms.push(arm),
      bar: bar => void bars.push(bar),
      after: close => void closers.push(close),
    })
    checkNames(bench.name, arms, bars)
    const samples = await interleave(bench.name, arms, options)
    const figures = arms.map(arm => figureOf(bench.name, arm, samples.get(arm.case) ?? []))
    return { figures, bars: bars.map(bar => judge(bench.name, bar, figures)) }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function interleave(
  name: string,
  arms: readonly Arm[],
  options: { readonly rounds: number; readonly progress?: (text: string) => void },
): Promise<Map<string, number[]>> {
  const samples = new Map<string, number[]>(arms.map(arm => [arm.case, []]))
  for (let round = 0; round <= options.rounds; round++) {
    for (const arm of arms) {
      options.progress?.(`${name} ${arm.case}, round ${round} of ${options.rounds}`)
      collectGarbage()
      const value = await arm.run()
      if (!Number.isFinite(value)) throw new Error(`bench ${name}, case ${arm.case} measured ${value}`)
      if (round > 0) samples.get(arm.case)?.push(value)
    }
  }
  return samples
}

/** So that no arm pays for the garbage of the one before it. Needs `node --expose-gc`. */
export function collectGarbage(): void {
  globalThis.gc?.()
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** The value that `share` of the values do not exceed: `quantile(latencies, 0.99)`. */
export function quantile(values: Float64Array, share: number): number {
  const sorted = values.slice().sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

function figureOf(bench: string, arm: Arm, samples: readonly number[]): Figure {
  return {
    bench,
    case: arm.case,
    value: median(samples),
    unit: arm.unit,
    samples: samples.length,
    min: Math.min(...samples),
    max: Math.max(...samples),
    better: arm.better,
  }
}

function judge(bench: string, bar: Bar, figures: readonly Figure[]): BarResult {
  const figure = (name: string): number => figures.find(each => each.case === name)?.value ?? Number.NaN
  const value = bar.against === undefined ? figure(bar.case) : figure(bar.case) / figure(bar.against)
  const unit = figures.find(each => each.case === bar.case)?.unit ?? ''
  const of = bar.against === undefined ? ` ${unit}` : ` x ${bar.against}`
  const limits = [
    bar.atLeast === undefined ? undefined : `${bar.case} >= ${bar.atLeast}${of}`,
    bar.atMost === undefined ? undefined : `${bar.case} <= ${bar.atMost}${of}`,
  ]
  const met = value >= (bar.atLeast ?? -Infinity) && value <= (bar.atMost ?? Infinity)
  return { bench, bar: limits.filter(text => text !== undefined).join(' and '), value, met }
}

function checkNames(name: string, arms: readonly Arm[], bars: readonly Bar[]): void {
  const cases = new Set<string>()
  for (const arm of arms) {
    if (cases.has(arm.case)) throw new Error(`bench ${name} has two arms named ${arm.case}`)
    cases.add(arm.case)
  }
  for (const asked of bars.flatMap(bar => [bar.case, bar.against ?? bar.case])) {
    if (!cases.has(asked))
      throw new Error(`bench ${name} has a bar on ${asked}; its arms are ${[...cases].join(', ')}`)
  }
}
