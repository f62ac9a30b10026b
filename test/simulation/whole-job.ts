// A whole job in simulation: the real supervisor, servers, workers, feeder, checkpointer and checkpoints, on one node
// under virtual time. Only user code is synthetic. Actors are killed wherever the seed says, threads die between two
// pushes, killed ones linger, and the disk fails.
import {
  CheckpointPlaces,
  Compute,
  type CheckpointFiles,
  type JobDone,
  type JobEvent,
  type ProgramHost,
  type ProgramSpec,
} from 'troupe'
import { JobSupervisor, type JobSpec } from 'troupe/actors'
import {
  simulate,
  FaultyFiles,
  MemoryFiles,
  randomDiskFaults,
  type DiskFaultRates,
  type Scenario,
  type SimulateOptions,
  type Simulation,
} from 'troupe/testing'
import { Bells, localBells } from 'troupe/training'
import { SupervisedJob } from '../../actors/job-handle.js'
import { JobRecords, MemoryJobRecords } from '../../actors/job-records.js'
import { haunt } from './ghost-chief.js'
import { stepsPerEpoch, SyntheticProgram, type ProgramWorld } from './synthetic-program.js'

export interface WholeJobOptions {
  readonly workers: number
  readonly parameterServers: number
  /** How many steps workers may be apart. */
  readonly staleness: number
  readonly epochs: number
  readonly checkpointEvery: number
  /** Kills of actors, at moments left to chance. */
  readonly kills: number
  /** How often a thread dies between two pushes, as a part of 1. */
  readonly deaths: number
  readonly disk: DiskFaultRates
}

/** What must not depend on what failed. */
export interface JobEnd {
  readonly weightsSha256: string
  readonly slotsSha256: string
  /** Holds a hash of all that user code saw. */
  readonly result: unknown
  readonly steps: number
  readonly workerSteps: Readonly<Record<string, number>>
  readonly exact: boolean
  readonly exactNote: string | null
}

const NODE = 'a'

/** Virtual milliseconds of a job that nothing disturbs, about; kills fall into twice that. */
const BUSY_MS = 100

/** A supervisor gives up on a child that fails for its own sake again and again. */
const MAX_DEATHS = 2

/** What one run has of its own. */
class Stage {
  readonly sim: Simulation
  readonly records = new MemoryJobRecords()
  readonly files: CheckpointFiles
  readonly bells: Bells
  readonly world: ProgramWorld

  constructor(sim: Simulation, { deaths, disk }: WholeJobOptions) {
    this.sim = sim
    this.files = new FaultyFiles(new MemoryFiles(), randomDiskFaults(sim.random, disk))
    this.bells = localBells(run => void this.later(0.3).then(run))
    let deathsLeft = MAX_DEATHS
    this.world = {
      bells: this.bells,
      pause: () => this.later(1),
      lingering: () => this.later(20),
      diesHere: () => deathsLeft > 0 && sim.random.next() < deaths && deathsLeft-- > 0,
    }
  }

  later(mostMs: number): Promise<void> {
    return this.sim.sleep(this.sim.random.next() * mostMs)
  }
}

/** Of the run that is under way; there is only one at a time. */
let stage: Stage

/** Options for `simulate` and `explore`: the ports of a job, each run's own behind them. */
export const wholeJobOptions = {
  nodes: [NODE],
  troupe: {
    provide: [
      {
        token: Compute,
        value: {
          start: (spec: ProgramSpec, host: ProgramHost) => new SyntheticProgram(spec, host, stage.world),
        },
      },
      {
        token: JobRecords,
        value: {
          read: (run: string) => stage.records.read(run),
          write: (...args: Parameters<JobRecords['write']>) => stage.records.write(...args),
          remove: (run: string) => stage.records.remove(run),
        },
      },
      { token: CheckpointPlaces, value: { open: () => stage.files } },
      { token: Bells, value: (...word: Parameters<Bells>) => stage.bells(...word) },
    ],
  },
} satisfies Omit<SimulateOptions, 'seed'>

/** @param onEnd told how the job ended */
export function wholeJob(options: WholeJobOptions, onEnd: (end: JobEnd, sim: Simulation) => void): Scenario {
  return async sim => {
    stage = new Stage(sim, options)
    const { troupe } = sim.node(NODE)
    const ref = await troupe.spawn(JobSupervisor, { name: 'job', args: specOf(options), restart: 'failover' })
    const job = new SupervisedJob('job', troupe, ref, async () => undefined)
    let over = false
    void follow(job, sim)
    const killer = async (own: Stage): Promise<void> => {
      const all = victims(options)
      for (let kill = 0; kill < options.kills; kill++) {
        await own.later((4 * BUSY_MS) / options.kills)
        if (over) return
        const path = `/job${all[sim.random.below(all.length)]!}`
        if (!troupe.kill(troupe.lookup(JobSupervisor, path), { blameless: true })) continue
        sim.note(`killed ${path}`)
        sim.sometimes(`killed ${path.replace(/\d+$/, 'N')}`)
      }
    }
    void killer(stage)
    const ghost = async (own: Stage): Promise<void> => {
      await own.later(BUSY_MS)
      if (over) return
      await haunt(troupe, sim, options.parameterServers, epochEnds(options))
      await ghost(own)
    }
    void ghost(stage)
    const done = await job.done
    over = true
    onEnd(endOf(done), sim)
  }
}

/** Steps of a worker at the end of each epoch. */
function epochEnds({ workers, epochs }: WholeJobOptions): number[] {
  return Array.from({ length: epochs }, (_, epoch) => (epoch + 1) * stepsPerEpoch(workers))
}

/** Actors of a job, and the supervisor itself. */
function victims({ workers, parameterServers }: WholeJobOptions): string[] {
  return [
    '',
    '/feeder',
    '/checkpointer',
    ...Array.from({ length: workers }, (_, rank) => `/worker-${rank}`),
    ...Array.from({ length: parameterServers }, (_, shard) => `/ps-${shard}`),
  ]
}

/** Remembers in the trace what a person would see. */
async function follow(job: SupervisedJob, sim: Simulation): Promise<void> {
  const told = new Map<string | null, number>()
  try {
    for await (const event of job.events) {
      note(event, sim)
      if (event.event !== 'step') continue
      const before = told.get(event.worker) ?? 0
      const { worker, step } = event
      sim.always(
        'each step is told once, in order',
        step === before + 1,
        `${worker ?? 'all'} ${step} after ${before}`,
      )
      told.set(worker, step)
    }
  } catch (error) {
    sim.note(`the job failed: ${(error as Error).message}`)
  }
}

function note(event: JobEvent, sim: Simulation): void {
  if (event.event === 'failure') {
    sim.note(`${event.actor} failed: ${event.reason}`)
    sim.sometimes(`${event.actor.replace(/\d+$/, 'N')} failed`)
  } else if (event.event === 'restored') sim.note(`${event.actor} is back at step ${event.step}`)
  else if (event.event === 'log' && event.level !== 'debug') sim.note(event.message)
}

function endOf(done: JobDone): JobEnd {
  const { weightsSha256, slotsSha256, result, steps, workerSteps, exact, exactNote } = done
  return { weightsSha256, slotsSha256, result, steps, workerSteps, exact, exactNote }
}

function specOf({ workers, parameterServers, staleness, epochs, checkpointEvery }: WholeJobOptions): JobSpec {
  return {
    name: 'job',
    run: 'job#1',
    module: 'simulated:job',
    moduleSha256: null,
    args: { epochs },
    workers,
    parameterServers,
    staleness,
    seed: 11,
    kills: [],
    checkpoints: {
      place: 'memory',
      temporary: true,
      everySteps: checkpointEvery,
      intervalMs: 1_000_000,
      keepLast: 3,
      resume: false,
    },
  }
}

/** Nothing goes wrong. */
export const CALM: WholeJobOptions = {
  workers: 3,
  parameterServers: 2,
  staleness: 0,
  epochs: 6,
  checkpointEvery: 4,
  kills: 0,
  deaths: 0,
  disk: {},
}

/** Everything may. */
export const HARSH: WholeJobOptions = {
  ...CALM,
  kills: 10,
  deaths: 0.004,
  disk: { diskFull: 0.003, ioError: 0.003, torn: 0.003, flip: 0.003 },
}

/** What goes wrong is the scenario's own doing. */
export const noFaults = (): [] => []

/** How a job ends that nothing disturbs. */
export async function calmEnd(options: WholeJobOptions = CALM): Promise<JobEnd> {
  let end: JobEnd | undefined
  const scenario = wholeJob(options, each => {
    end = each
  })
  await simulate({ ...wholeJobOptions, seed: 1 }, scenario)
  return end!
}

/** Checks that a job ended as another did. */
export function endsAs(expected: JobEnd): (end: JobEnd, sim: Simulation) => void {
  const text = JSON.stringify(expected)
  return (end, sim) => {
    const got = JSON.stringify(end)
    sim.always('weights, slots and what user code saw are the same', got === text, got)
  }
}
