import { resolve } from 'node:path'
import type { Clock } from '../determinism/index.js'
import { EngineCache, megabytes, type Engine, type EngineSource } from '../engines/index.js'
import { TroupeError } from '../errors.js'
import type { CliIo } from './cli-io.js'
import { optionHelp, readCommandLine } from './command-line.js'
import type { Command } from './command.js'
import { EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK } from './exit-code.js'
import { failureText } from './failure-text.js'
import { flag, text } from './option-spec.js'
import { ProgressLine } from './progress-line.js'
import { usageError } from './usage-error.js'

const OPTIONS = {
  from: text('install from a file or directory brought along; nothing is fetched (one engine only)', 'FILE'),
  list: flag('what is found, what is installed, and what the rest would take; changes nothing'),
  remove: flag('remove every installed version'),
} as const

/** Makes the engines from the cache they are installed into. */
export type ListEngines = (cache: EngineCache, clock: Clock) => readonly Engine[]

/** `troupe provision`: installs, lists and removes the engines. */
export function provisionCommand(list: ListEngines): Command {
  return {
    name: 'provision',
    summary: 'install the engines that npm does not bring: TensorFlow, nats-server, HDFS',
    help: () => [
      'usage: troupe provision [tensorflow|nats|hdfs|all ...] [options]',
      '',
      'Installs engines into the cache of this user: $TROUPE_CACHE, else $XDG_CACHE_HOME/troupe, else ~/.cache/troupe.',
      'What is installed already is left as it is. Without a name: all.',
      '',
      ...optionHelp(OPTIONS),
      '',
      'Exit codes: 0 everything asked for is there, 1 something could not be installed, 2 bad arguments.',
    ],
    run: async (argv, io) => {
      const { options, operands, rest } = readCommandLine(argv, OPTIONS)
      const cache = new EngineCache(io.clock)
      const engines = chosen([...operands, ...rest], list(cache, io.clock))
      if (options.list === true) {
        await show(engines, cache, io)
        return EXIT_OK
      }
      if (options.remove === true) {
        for (const engine of engines) await remove(engine, cache, io)
        return EXIT_OK
      }
      if (options.from !== undefined && engines.length !== 1)
        throw usageError('--from needs the name of one engine: troupe provision hdfs --from FILE', '--from')
      const from = options.from === undefined ? undefined : resolve(io.cwd, options.from)
      return provisionAll(engines, cache, io, from)
    },
  }
}

function chosen(names: readonly string[], engines: readonly Engine[]): readonly Engine[] {
  const known = engines.map(engine => engine.name)
  for (const name of names) {
    if (name !== 'all' && !known.some(one => one === name))
      throw usageError(`no engine is named ${name}; there are ${[...known, 'all'].join(', ')}`)
  }
  if (names.length === 0 || names.includes('all')) return engines
  return engines.filter(engine => names.includes(engine.name))
}

/** One that fails does not keep the others from being installed. */
async function provisionAll(
  engines: readonly Engine[],
  cache: EngineCache,
  io: CliIo,
  from: string | undefined,
): Promise<number> {
  const interrupted = new AbortController()
  const stopListening = io.onInterrupt(() => interrupted.abort())
  let code: number = EXIT_OK
  try {
    for (const engine of engines) {
      try {
        await provision(engine, cache, io, from, interrupted.signal)
      } catch (error) {
        if (interrupted.signal.aborted) {
          io.err.write(`troupe: stopped; nothing of ${engine.title} is left\n`)
          return EXIT_INTERRUPTED
        }
        io.err.write(`${failureText(error)}\n`)
        code = EXIT_FAILURE
      }
    }
    return code
  } finally {
    stopListening()
  }
}

async function provision(
  engine: Engine,
  cache: EngineCache,
  io: CliIo,
  from: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const there = from === undefined ? await engine.find() : undefined
  if (there !== undefined) {
    io.out.write(`${engine.title}: ${there.version} is there, ${there.path} (${there.by})\n`)
    return
  }
  const started = io.clock.monotonic()
  io.out.write(`${engine.title}: ${from === undefined ? price(await engine.sources()) : `from ${from}`}\n`)
  const line = new ProgressLine(io.out, io.clock)
  try {
    const cached = await cache.provision(engine, {
      report: progress => line.show(progress),
      waiting: pid => line.show({ doing: `waiting for process ${pid}, which installs it` }),
      signal,
      ...(from === undefined ? {} : { from }),
    })
    line.clear()
    const seconds = ((io.clock.monotonic() - started) / 1000).toFixed(1)
    io.out.write(`  installed in ${cached.dir}, ${megabytes(cached.bytes)}, ${seconds} s\n`)
  } finally {
    line.clear()
  }
}

/** What the first source that may be tried costs. */
function price(sources: readonly EngineSource[]): string {
  const first = sources.find(source => source.unusable === undefined)
  if (first === undefined) return 'no source can be used here'
  return `${megabytes(first.downloadBytes)} to fetch (${first.name}), ${megabytes(first.diskBytes)} on disk`
}

async function show(engines: readonly Engine[], cache: EngineCache, io: CliIo): Promise<void> {
  const installed = await cache.list()
  for (const engine of engines) {
    const found = await engine.find()
    io.out.write(`${engine.name}: ${engine.title}\n`)
    io.out.write(
      found === undefined
        ? '  not found\n'
        : `  found: ${found.version}, ${found.path} (${found.by === 'cache' ? 'cache' : `by ${found.by}`})\n`,
    )
    for (const one of installed.filter(one => one.name === engine.name)) {
      io.out.write(`  installed: ${one.version}, ${megabytes(one.bytes)}, from ${one.source}\n`)
    }
    if (found !== undefined) continue
    for (const source of await engine.sources()) {
      const sizes = `${megabytes(source.downloadBytes)} to fetch, ${megabytes(source.diskBytes)} on disk`
      io.out.write(`  from ${source.name}: ${source.unusable ?? sizes}\n`)
    }
  }
}

async function remove(engine: Engine, cache: EngineCache, io: CliIo): Promise<void> {
  const removed = await cache.remove(engine.name)
  io.out.write(`${engine.title}: ${removed === 0 ? 'nothing was installed' : `removed from ${cache.root}`}\n`)
}

/** @throws ERR_ENGINE_MISSING naming the command that installs it */
export async function requireEngine(engine: Engine): Promise<string> {
  const found = await engine.find()
  if (found !== undefined) return found.path
  const command = `troupe provision ${engine.name}`
  throw new TroupeError(
    'ERR_ENGINE_MISSING',
    `${engine.title} is not installed; install it with: ${command}`,
    {
      data: { engine: engine.name, command },
    },
  )
}
