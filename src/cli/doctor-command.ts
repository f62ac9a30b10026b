import process from 'node:process'
import { EngineCache, type Check, type Engine, type EngineName } from '../engines/index.js'
import type { CliIo } from './cli-io.js'
import { optionHelp, readCommandLine } from './command-line.js'
import type { Command } from './command.js'
import { EXIT_FAILURE, EXIT_OK } from './exit-code.js'
import { flag, text } from './option-spec.js'
import type { ListEngines } from './provision-command.js'
import { usageError } from './usage-error.js'

const OPTIONS = {
  json: flag('one JSON object a line, one line a check'),
  nats: text('send a message to this server and back', 'URL'),
  hdfs: text('write, read and remove a file there: http://NAMENODE:9870', 'URL'),
} as const

/** `troupe doctor`: what is there, what works, what is missing and how it is mended. */
export function doctorCommand(list: ListEngines): Command {
  return {
    name: 'doctor',
    summary: 'look for the engines and try them; talk to NATS and HDFS servers',
    help: () => [
      'usage: troupe doctor [options]',
      '',
      'Says what is found, tries it, and names the command that mends what is missing.',
      '',
      ...optionHelp(OPTIONS),
      '',
      'Exit codes: 0 everything works, 1 something is missing or does not work, 2 bad arguments.',
    ],
    run: async (argv, io) => {
      const { options, operands, rest } = readCommandLine(argv, OPTIONS)
      const others = [...operands, ...rest]
      if (others.length > 0) throw usageError(`doctor takes no operands; got ${others.join(' ')}`)
      const urls = { nats: natsUrl(options.nats), hdfs: hdfsUrl(options.hdfs) }
      const show = options.json === true ? showRecord : showLine
      let sound = true
      for await (const [section, checks] of sections(list, io, urls)) {
        if (options.json !== true) io.out.write(`${section}\n`)
        for (const check of checks) {
          show(io, section, check)
          sound &&= check.ok
        }
      }
      return sound ? EXIT_OK : EXIT_FAILURE
    },
  }
}

type Urls = Readonly<Partial<Record<EngineName, string | undefined>>>

async function* sections(
  list: ListEngines,
  io: CliIo,
  urls: Urls,
): AsyncGenerator<[string, readonly Check[]]> {
  const place = `${process.platform} ${process.arch}`
  yield ['machine', [{ name: 'Node', ok: true, detail: `${process.version} on ${place}` }]]
  const engines: readonly Engine[] = list(new EngineCache(io.clock), io.clock)
  for (const engine of engines) {
    const url = urls[engine.name]
    yield [engine.title, await engine.examine(url === undefined ? {} : { url })]
  }
}

function showRecord(io: CliIo, section: string, check: Check): void {
  io.out.write(`${JSON.stringify({ section, ...check })}\n`)
}

function showLine(io: CliIo, _section: string, { name, ok, detail, remedy }: Check): void {
  io.out.write(`  ${ok ? 'ok' : 'NO'}  ${name}: ${detail}\n`)
  if (!ok && remedy !== undefined) io.out.write(`      mend it with: ${remedy}\n`)
}

function natsUrl(url: string | undefined): string | undefined {
  return checkedUrl('--nats', url, ['nats:', 'tls:'])
}

function hdfsUrl(url: string | undefined): string | undefined {
  return checkedUrl('--hdfs', url, ['http:', 'https:', 'webhdfs:', 'swebhdfs:'])
}

function checkedUrl(
  option: string,
  url: string | undefined,
  protocols: readonly string[],
): string | undefined {
  if (url === undefined || (URL.canParse(url) && protocols.includes(new URL(url).protocol))) return url
  // the value may hold a password
  throw usageError(
    `${option} must be a URL that begins with ${protocols.map(one => `${one}//`).join(' or ')}`,
    option,
  )
}
