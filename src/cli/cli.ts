import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { hasCode } from '../errors.js'
import type { CliIo } from './cli-io.js'
import { closest } from './closest.js'
import type { Command } from './command.js'
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from './exit-code.js'
import { failureText } from './failure-text.js'
import { usageError } from './usage-error.js'

/**
 * Runs one command line.
 *
 * @param argv without node and script
 * @returns the exit code; never rejects
 */
export async function runCli(
  argv: readonly string[],
  io: CliIo,
  commands: readonly Command[],
): Promise<number> {
  try {
    return await dispatch(argv, io, commands)
  } catch (error) {
    io.err.write(`${failureText(error)}\n`)
    return hasCode(error, 'ERR_USAGE') || hasCode(error, 'ERR_INVALID_OPTION') ? EXIT_USAGE : EXIT_FAILURE
  }
}

async function dispatch(argv: readonly string[], io: CliIo, commands: readonly Command[]): Promise<number> {
  const [name, ...rest] = argv
  if (name === '--version' || name === '-v') {
    io.out.write(`${version()}\n`)
    return EXIT_OK
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    io.out.write(`${overview(commands).join('\n')}\n`)
    return name === undefined ? EXIT_USAGE : EXIT_OK
  }
  const command = commands.find(known => known.name === name)
  if (command === undefined) {
    const names = commands.map(known => known.name)
    const near = closest(name, names)
    throw usageError(
      `unknown command ${name}; ${near === undefined ? `known: ${names.join(', ')}` : `did you mean ${near}?`}`,
    )
  }
  if (asksForHelp(rest)) {
    io.out.write(`${command.help().join('\n')}\n`)
    return EXIT_OK
  }
  return command.run(rest, io)
}

/** What stands behind `--` belongs to the job. */
function asksForHelp(argv: readonly string[]): boolean {
  const cut = argv.indexOf('--')
  const own = cut === -1 ? argv : argv.slice(0, cut)
  return own.includes('--help') || own.includes('-h')
}

function overview(commands: readonly Command[]): string[] {
  const width = Math.max(...commands.map(command => command.name.length)) + 2
  return [
    'usage: troupe COMMAND [options]',
    '',
    ...commands.map(command => `  ${command.name.padEnd(width)}${command.summary}`),
    '',
    'troupe COMMAND --help tells more; troupe --version prints the version.',
  ]
}

function version(): string {
  const manifest = fileURLToPath(import.meta.resolve('troupe/package.json'))
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}
