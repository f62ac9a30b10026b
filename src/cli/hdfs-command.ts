import { resolve } from 'node:path'
import { EngineCache, HdfsEngine, TrialHdfs } from '../engines/index.js'
import { TroupeError } from '../errors.js'
import type { CliIo } from './cli-io.js'
import { optionHelp, readCommandLine } from './command-line.js'
import type { Command } from './command.js'
import { EXIT_OK } from './exit-code.js'
import { integer, text } from './option-spec.js'
import { requireEngine } from './provision-command.js'
import { usageError } from './usage-error.js'

const MAX_DATANODES = 16

const OPTIONS = {
  datanodes: integer('how many DataNodes', { min: 1, max: MAX_DATANODES }),
  dir: text('keep the files here, and find them again; else they go when it stops', 'DIR'),
} as const

/** `troupe hdfs up`: a trial HDFS that runs until Ctrl-C. */
export function hdfsCommand(): Command {
  return {
    name: 'hdfs',
    summary: 'start an HDFS to try things with',
    help: () => [
      'usage: troupe hdfs up [options]',
      '',
      'Starts a NameNode and DataNodes on free ports of this machine, prints the URL, and stops them with Ctrl-C.',
      'Install it once with: troupe provision hdfs',
      '',
      ...optionHelp(OPTIONS),
      '',
      'Exit codes: 0 stopped by Ctrl-C, 1 it did not start or ended by itself, 2 bad arguments.',
    ],
    run: async (argv, io) => {
      const { options, operands, rest } = readCommandLine(argv, OPTIONS)
      const words = [...operands, ...rest]
      if (words.join(' ') !== 'up') throw usageError('hdfs has one thing to do: troupe hdfs up')
      const engine = await requireEngine(new HdfsEngine(new EngineCache(io.clock)))
      const hdfs = await TrialHdfs.start(engine, {
        ...(options.datanodes === undefined ? {} : { datanodes: options.datanodes }),
        ...(options.dir === undefined ? {} : { dir: resolve(io.cwd, options.dir) }),
      })
      await using _stopped = hdfs
      io.out.write(`WebHDFS  ${hdfs.url}\nRPC      ${hdfs.rpcUrl}\nFiles    ${hdfs.dir}\nCtrl-C stops it.\n`)
      await interrupted(io, hdfs)
      return EXIT_OK
    },
  }
}

async function interrupted(io: CliIo, hdfs: TrialHdfs): Promise<void> {
  let stopListening = (): void => undefined
  const stopped = new Promise<boolean>(done => {
    stopListening = io.onInterrupt(() => done(true))
  })
  try {
    if (await Promise.race([stopped, hdfs.ended().then(() => false)])) return
  } finally {
    stopListening()
  }
  throw new TroupeError('ERR_ENGINE_START', `HDFS ended by itself; its log ends with:\n${hdfs.logTail()}\n`)
}
