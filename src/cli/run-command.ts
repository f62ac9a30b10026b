import { causalChain, errorInfo } from '../errors.js'
import { JsonView, LiveView, PlainView, type JobView } from '../observe/index.js'
import type { JobCheckpoint, JobEvent } from '../program/events.js'
import type { CliIo } from './cli-io.js'
import { optionHelp } from './command-line.js'
import type { Command } from './command.js'
import { EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK } from './exit-code.js'
import { failureText } from './failure-text.js'
import { readRunLine, RUN_OPTIONS, type JobOverrides, type RunLine } from './run-options.js'

/** A job under way. */
export interface RunningJob {
  /** In order; ends after `done`, or when the job was stopped; throws what made the job fail. */
  readonly events: AsyncIterable<JobEvent>
  /** Stops the job in good order; `events` ends then. */
  stop(): Promise<void>
  /** Frees what the job's runtime holds. */
  close(): Promise<void>
}

/** @throws ERR_JOB_MODULE, ERR_INVALID_OPTION: nothing runs then */
export type StartJob = (path: string, cwd: string, overrides: JobOverrides) => Promise<RunningJob>

/** `troupe run`: starts a job in this process and shows it until it ends. */
export function runCommand(start: StartJob): Command {
  return {
    name: 'run',
    summary: 'train a job in this process',
    help: () => [
      'usage: troupe run JOB [options] [-- KEY=VALUE …]',
      '',
      'JOB is a module (.js, .mjs or .ts) that ends with: export default defineJob({ main, … })',
      '',
      ...optionHelp(RUN_OPTIONS),
      '',
      'Exit codes: 0 done, 1 the job failed, 2 bad arguments, 130 stopped by Ctrl-C.',
    ],
    run: async (argv, io) => runJob(readRunLine(argv), io, start),
  }
}

async function runJob(line: RunLine, io: CliIo, start: StartJob): Promise<number> {
  const view = makeView(line, io)
  const interrupt = new Interrupt(io, view)
  try {
    const job = await start(line.job, io.cwd, line.overrides)
    try {
      interrupt.stops(() => job.stop())
      return await showJob(job, view, interrupt, io, line.view === 'json')
    } finally {
      await job.close()
    }
  } finally {
    view.close()
    interrupt.off()
  }
}

async function showJob(
  job: RunningJob,
  view: JobView,
  interrupt: Interrupt,
  io: CliIo,
  json: boolean,
): Promise<number> {
  let checkpoint: JobCheckpoint | undefined
  try {
    for await (const event of job.events) {
      view.show(event)
      if (event.event === 'checkpoint') checkpoint = event
    }
  } catch (error) {
    view.close()
    if (interrupt.heard) return stopped(view, checkpoint)
    if (json)
      io.out.write(
        `${JSON.stringify({ event: 'failed', error: errorInfo(error), chain: causalChain(error) })}\n`,
      )
    io.err.write(`${failureText(error)}\n`)
    return EXIT_FAILURE
  }
  return interrupt.heard ? stopped(view, checkpoint) : EXIT_OK
}

function stopped(view: JobView, checkpoint: JobCheckpoint | undefined): number {
  view.close()
  const kept = checkpoint === undefined ? '' : ` after step ${checkpoint.step}; --resume goes on from there`
  view.note(`stopped${kept}`)
  return EXIT_INTERRUPTED
}

function makeView(line: RunLine, io: CliIo): JobView {
  if (line.view === 'json') return new JsonView(io.out)
  if (line.view === 'plain' || !io.out.isTerminal) return new PlainView(io.out, io.clock)
  return new LiveView(io.out, io.clock)
}

/** The first Ctrl-C stops the job, the second the process. */
class Interrupt {
  heard = false
  readonly off: () => void
  #stop: (() => Promise<void>) | undefined

  constructor(io: CliIo, view: JobView) {
    this.off = io.onInterrupt(() => {
      if (this.heard) {
        view.close()
        io.exitNow(EXIT_INTERRUPTED)
        return
      }
      this.heard = true
      view.note('stopping; once more to stop at once')
      this.#run()
    })
  }

  /** What to do once; at once if it was heard already. */
  stops(stop: () => Promise<void>): void {
    this.#stop = stop
    if (this.heard) this.#run()
  }

  #run(): void {
    // A job that fails to stop says so through its events.
    void this.#stop?.().catch(() => undefined)
  }
}
