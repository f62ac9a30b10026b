import { join } from 'node:path'
import { JARS, jarFile } from './jars.js'

export const LAUNCHER_JAR = 'launcher.jar'
export const CLASS_ARCHIVE = 'hdfs.jsa'

/** The heap of each Java process. */
const HEAP = '384m'

/**
 * What every start has in common. The class archive holds for one class path, as it is written: so its parts are relative,
 * the engine's directory is the working directory, and it may be moved.
 */
const COMMON = [
  // WebHDFS answers 500 without it on Java 17
  '--add-opens=java.base/java.lang=ALL-UNNAMED',
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  `-Xmx${HEAP}`,
  // stdout carries answers only
  '-Xlog:disable',
  '-Xlog:all=error:stderr',
]

function launcher(): string[] {
  const jars = JARS.map(jar => join('lib', jarFile(jar)))
  return ['-cp', [LAUNCHER_JAR, ...jars].join(':'), 'HdfsLauncher']
}

/** To be run in the engine's directory. */
export function launchArguments(args: readonly string[]): string[] {
  return [...COMMON, '-Xshare:auto', `-XX:SharedArchiveFile=${CLASS_ARCHIVE}`, ...launcher(), ...args]
}

/** Runs the launcher once, and writes the classes it loaded into an archive: the next starts in a third of the time. */
export function archiveArguments(args: readonly string[]): string[] {
  return [
    ...COMMON,
    `-XX:ArchiveClassesAtExit=${CLASS_ARCHIVE}`,
    '-Dtroupe.archive=true',
    ...launcher(),
    ...args,
  ]
}
