import { CheckpointStore, type CheckpointFiles, type VerifyDepth } from '../checkpoint/index.js'
import { TroupeError } from '../errors.js'
import {
  checkpointDetails,
  checkpointRecord,
  checkpointTable,
  type SeenCheckpoint,
} from './checkpoints-text.js'
import type { CliIo } from './cli-io.js'
import { optionHelp, readCommandLine } from './command-line.js'
import type { Command } from './command.js'
import { EXIT_FAILURE, EXIT_OK } from './exit-code.js'
import { flag, integer, type OptionSpec } from './option-spec.js'
import { usageError } from './usage-error.js'

const STEP: OptionSpec<number> = {
  ...integer('', { min: 0, max: Number.MAX_SAFE_INTEGER }),
  placeholder: 'STEP',
  help: 'the checkpoint at this step: its files and what is in them',
}

const OPTIONS = {
  verify: flag('read every byte and compare digests, not only lengths and headers'),
  show: STEP,
  json: flag('one JSON object a line, one line a checkpoint'),
} as const

/** @throws ERR_CHECKPOINT_PLACE */
export type OpenPlace = (place: string, cwd: string) => CheckpointFiles

/** `troupe checkpoints`: lists, verifies and shows the checkpoints in a directory. */
export function checkpointsCommand(open: OpenPlace): Command {
  return {
    name: 'checkpoints',
    summary: 'list, verify and show the checkpoints of a job',
    help: () => [
      'usage: troupe checkpoints DIR [options]',
      '',
      'Lists what is in the checkpoint directory of a job, newest first. A job that is resumed begins at the first one',
      'that is sound.',
      '',
      ...optionHelp(OPTIONS),
      '',
      'Exit codes: 0 every checkpoint looked at is sound, 1 one is not or there is none, 2 bad arguments.',
    ],
    run: async (argv, io) => {
      const { options, operands, rest } = readCommandLine(argv, OPTIONS)
      const [place, ...others] = [...operands, ...rest]
      if (place === undefined) throw usageError('checkpoints needs a directory: troupe checkpoints DIR')
      if (others.length > 0) throw usageError(`checkpoints takes one directory; got also ${others.join(' ')}`)
      const store = new CheckpointStore(open(place, io.cwd))
      const depth = options.verify === true ? 'full' : 'lengths'
      const seen = await look(store, depth, options.show)
      if (options.json === true)
        print(
          io,
          seen.map(one => JSON.stringify(checkpointRecord(one, options.show !== undefined))),
        )
      else if (options.show === undefined) print(io, checkpointTable(store.files.place, seen))
      else print(io, seen.flatMap(checkpointDetails))
      return seen.length > 0 && seen.every(({ verification }) => verification.ok) ? EXIT_OK : EXIT_FAILURE
    },
  }
}

/** All checkpoints, or the one at a step: of several, the one that counts. */
async function look(
  store: CheckpointStore,
  depth: VerifyDepth,
  step: number | undefined,
): Promise<SeenCheckpoint[]> {
  const { place } = store.files
  if ((await store.files.list('')) === undefined) {
    throw new TroupeError('ERR_CHECKPOINT_MISSING', `${place} is not there, or is no directory`, {
      data: { place },
    })
  }
  const entries = await store.list()
  const wanted = step === undefined ? entries : entries.filter(entry => entry.step === step)
  const seen: SeenCheckpoint[] = []
  for (const entry of wanted) {
    const verification = await store.verify(entry, depth)
    // A job that trains removes old ones meanwhile.
    const gone = !verification.ok && (await store.files.stat(entry.directory)) === undefined
    if (!gone) seen.push({ entry, depth, verification })
  }
  if (step === undefined) return seen
  const best = seen.find(({ verification }) => verification.ok) ?? seen[0]
  if (best !== undefined) return [best]
  const steps = [...new Set(entries.map(entry => entry.step))].join(', ')
  throw new TroupeError(
    'ERR_CHECKPOINT_NONE',
    `${place} holds no checkpoint at step ${step}; it has ${steps === '' ? 'none at all' : `steps ${steps}`}`,
    { data: { place, step } },
  )
}

function print(io: CliIo, lines: readonly string[]): void {
  for (const line of lines) io.out.write(`${line}\n`)
}
