import { basename, resolve } from 'node:path'
import { runJob } from 'troupe/actors'
import { hasCode, type TroupeError } from '../errors.js'
import { isHdfsLocation } from '../hdfs/index.js'
import { Troupe } from '../node/troupe.js'
import type { JobDefinition } from '../program/job-definition.js'
import { loadJobModule } from './job-module.js'
import type { StartJob } from './run-command.js'
import type { JobOverrides } from './run-options.js'
import { usageError } from './usage-error.js'

/** Characters that the name of an actor may have; a file's may have others. */
const NOT_IN_A_NAME = /[^A-Za-z0-9_-]+/g
const MAX_NAME_LENGTH = 64

/** Runs a job on a runtime of its own in this process. */
export const startJob: StartJob = async (path, cwd, overrides) => {
  const { url, exported } = await loadJobModule(path, cwd)
  const troupe = await Troupe.start()
  const directory = overrides.checkpoints?.directory
  try {
    // What the module exports is checked by runJob.
    const job = await runJob(troupe, exported as JobDefinition, {
      module: url,
      name: jobName(path),
      ...overrides,
      ...(directory === undefined
        ? {}
        : { checkpoints: { ...overrides.checkpoints, directory: placeFrom(cwd, directory) } }),
    })
    return { events: job.events, stop: () => job.stop(), close: () => troupe.close() }
  } catch (error) {
    await troupe.close()
    throw ownKillMisfits(error, overrides) ?? error
  }
}

/** A path is one of this machine, from where the command was given. */
function placeFrom(cwd: string, place: string): string {
  return isHdfsLocation(place) ? place : resolve(cwd, place)
}

/** Nobody typed the kill that is wrong: the job brings it, and it does not fit the numbers that were typed. */
function ownKillMisfits(error: unknown, overrides: JobOverrides): TroupeError | undefined {
  if (overrides.kills !== undefined || !hasCode(error, 'ERR_INVALID_OPTION')) return undefined
  if (error.data['option'] !== 'kill') return undefined
  const kill = String(error.data['value'])
  return usageError(
    `the job kills ${kill} by itself, which does not fit this number of actors: add --no-kill or another --kill`,
    '--kill',
    kill,
  )
}

/** `jobs/06-mnist.ts` is the job `06-mnist`. */
function jobName(path: string): string {
  const name = basename(path).replace(/\.[cm]?[jt]sx?$/, '')
  return name.replace(NOT_IN_A_NAME, '-').slice(0, MAX_NAME_LENGTH)
}
