import {
  CheckpointStore,
  damageText,
  describe,
  kernelSettingsOf,
  TroupeError,
  type CheckpointFiles,
  type ComputeFingerprint,
} from 'troupe'
import { decodeJobState, type JobFacts } from 'troupe/training'
import { asynchrony, type JobSpec, type ResumePoint } from './job-spec.js'
import { stepsOf } from './step-tally.js'

/**
 * Finds the newest checkpoint of a job that verifies.
 *
 * @throws ERR_CHECKPOINT_NONE; ERR_RESUME when it is another job's, or one with other ranks or another seed: its rows
 * and its randomness would not be this job's; or when only one of them is in exact mode: what workers saw is kept for
 * all together there, else for each
 */
export async function findResumePoint(
  files: CheckpointFiles,
  job: JobFacts,
  mode: Pick<JobSpec, 'staleness'>,
): Promise<ResumePoint> {
  const { checkpoint, skipped } = await new CheckpointStore(files).requireNewest()
  const { generation, step, directory } = checkpoint.entry
  const path = `${files.place}/${directory}`
  const { facts, training } = decodeJobState(await checkpoint.readState())
  for (const field of ['name', 'workers', 'seed'] as const) {
    if (facts[field] === job[field]) continue
    throw new TroupeError(
      'ERR_RESUME',
      `${path} is of a job whose ${field} is ${describe(facts[field])}; that of this one is ${describe(job[field])}`,
      { data: { field, checkpoint: facts[field], job: job[field] } },
    )
  }
  if (training.staleness > 0 !== mode.staleness > 0) {
    const named = (staleness: number): string => asynchrony({ staleness }) ?? 'exact (staleness 0)'
    throw new TroupeError(
      'ERR_RESUME',
      `${path} is of a job whose mode is ${named(training.staleness)}; that of this one is ${named(mode.staleness)}`,
      { data: { field: 'staleness', checkpoint: training.staleness, job: mode.staleness } },
    )
  }
  const changes = changesOf(facts, job)
  return {
    generation,
    step,
    steps: stepsOf(training),
    path,
    inexact: changes.length === 0 ? null : `since step ${step + 1}: ${changes.join('; ')}`,
    fingerprint: checkpoint.manifest.fingerprint as ComputeFingerprint | null,
    skipped: skipped.map(damageText),
  }
}

/** A job that goes on keeps the kernels it had, on whatever machine: others would compute other bits. */
export function onSameKernels(job: JobSpec, resume: ResumePoint | null): JobSpec {
  const kernels = resume?.fingerprint ? kernelSettingsOf(resume.fingerprint) : undefined
  return kernels === undefined ? job : { ...job, kernels }
}

/** What lets a job go on, but perhaps not as it would have without the break. */
function changesOf(before: JobFacts, now: JobFacts): string[] {
  const changes: string[] = []
  if (before.moduleSha256 !== now.moduleSha256) changes.push("the job's module has changed")
  const names = new Set([...Object.keys(before.args), ...Object.keys(now.args)])
  for (const name of names) {
    const [was, is] = [describe(before.args[name]), describe(now.args[name])]
    if (was !== is) changes.push(`argument ${name} was ${was} and is ${is}`)
  }
  return changes
}

/** @throws ERR_RESUME when the place has checkpoints already: a job that begins would mix its own with them */
export async function checkUnused(files: CheckpointFiles): Promise<void> {
  const [newest] = await new CheckpointStore(files).list()
  if (newest === undefined) return
  throw new TroupeError(
    'ERR_RESUME',
    `${files.place} holds checkpoints already, the newest at step ${newest.step}`,
    { data: { place: files.place, step: newest.step } },
  )
}
