#!/usr/bin/env node
import process from 'node:process'
import { LocalPlaces } from '../checkpoint/index.js'
import { SystemClock } from '../determinism/index.js'
import { streamOutput } from '../observe/index.js'
import { checkpointsCommand } from './checkpoints-command.js'
import type { CliIo } from './cli-io.js'
import { runCli } from './cli.js'
import { doctorCommand } from './doctor-command.js'
import { knownEngines } from './engines.js'
import { hdfsCommand } from './hdfs-command.js'
import { provisionCommand } from './provision-command.js'
import { runCommand } from './run-command.js'
import { startJob } from './start-job.js'

const INTERRUPTS = ['SIGINT', 'SIGTERM'] as const

const io: CliIo = {
  out: streamOutput(process.stdout),
  err: streamOutput(process.stderr),
  clock: new SystemClock(),
  cwd: process.cwd(),
  onInterrupt(listener) {
    for (const signal of INTERRUPTS) process.on(signal, listener)
    return () => {
      for (const signal of INTERRUPTS) process.off(signal, listener)
    }
  },
  exitNow: code => process.exit(code),
}

// A reader that went away (`| head`) ends the program quietly, as other tools do.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await runCli(process.argv.slice(2), io, [
  runCommand(startJob),
  checkpointsCommand((place, cwd) => new LocalPlaces(cwd).open(place)),
  provisionCommand(knownEngines),
  doctorCommand(knownEngines),
  hdfsCommand(),
])
