// Reads the stream of tap: one line a test file, every failure in full, and the counts at the end.

import { inspect } from 'node:util'
import { Parser, type FinalResults, type Result } from 'tap-parser'

/** Single assertions; what merely sums up a block of them is not counted. */
export interface TestCounts {
  passed: number
  failed: number
  skipped: number
}

/** Fields of a failure that say where tap ran it, not what failed. */
const NOISE = new Set([
  'at',
  'compare',
  'externalID',
  'jobId',
  'cwd',
  'command',
  'args',
  'stdio',
  'generated',
])

/** Write tap's output to `stream` and end it; `counts` are whole when `done` settles. */
export interface TapSummary {
  readonly stream: Parser
  readonly counts: TestCounts
  readonly done: Promise<void>
}

export function tapSummary(print: (text: string) => void): TapSummary {
  const counts: TestCounts = { passed: 0, failed: 0, skipped: 0 }
  const stream = new Parser()
  let assertions = 0
  let failures = 0
  stream.on('result', (result: Result) => {
    assertions++
    if (result.skip !== false || result.todo !== false) {
      counts.skipped++
      print(`  skipped: ${result.fullname} ${reason(result)}\n`)
    } else if (result.ok) counts.passed++
    else {
      counts.failed++
      failures++
      print(`\n  FAILED: ${result.fullname}\n${indent(details(result.diag), 4)}\n\n`)
    }
  })
  stream.on('assert', (file: Result) => {
    const seconds = file.time === null ? '' : `, ${(file.time / 1000).toFixed(1)} s`
    print(`${file.ok ? 'ok' : 'not ok'}  ${file.name} (${assertions}${seconds})\n`)
    if (!file.ok && failures === 0) print(`${indent(details(file.diag), 4)}\n`)
    assertions = 0
    failures = 0
  })
  stream.on('bailout', (why: string) => {
    counts.failed++
    print(`bailed out: ${why}\n`)
  })
  const done = new Promise<void>(resolve => {
    stream.on('complete', (results: FinalResults) => {
      // a stream that is empty, is cut short or breaks its plan fails without a failed assertion
      const whole = results.ok && counts.passed + counts.skipped > 0
      if (!whole && counts.failed === 0) counts.failed++
      resolve()
    })
  })
  return { stream, counts, done }
}

function reason(result: Result): string {
  return [result.skip, result.todo].filter(why => typeof why === 'string').join(' ')
}

function details(diagnostics: unknown): string {
  if (typeof diagnostics !== 'object' || diagnostics === null) return ''
  return Object.entries(diagnostics)
    .filter(([name]) => !NOISE.has(name))
    .map(([name, value]) => {
      const text = typeof value === 'string' ? value.trimEnd() : inspect(value, { depth: 6 })
      return text.includes('\n') ? `${name}:\n${indent(text, 2)}` : `${name}: ${text}`
    })
    .join('\n')
}

function indent(text: string, columns: number): string {
  return text.replace(/^(?=.)/gm, ' '.repeat(columns))
}
