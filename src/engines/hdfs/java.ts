import { join } from 'node:path'
import process from 'node:process'
import { TroupeError } from '../../errors.js'
import { findProgram, isProgram, runProgram } from '../program.js'

/** Hadoop 3.4 needs 11; from 23 on Java refuses calls of its security layer that it makes. */
const OLDEST = 11
const NEWEST = 22

/** How to get one, for error messages. */
const HOW = 'install a JDK 17, for example: apt-get install openjdk-17-jdk-headless'

/** A program of the JDK: of `JAVA_HOME` if that is set, else on `PATH`. */
async function findJava(name: string): Promise<string | undefined> {
  const home = process.env['JAVA_HOME']
  if (home !== undefined && home !== '') {
    const path = join(home, 'bin', name)
    if (await isProgram(path)) return path
  }
  return findProgram(name)
}

/** Why this machine cannot compile and start the launcher; undefined if it can. */
export async function whyNoJdk(): Promise<string | undefined> {
  for (const name of ['java', 'javac', 'jar']) {
    if ((await findJava(name)) === undefined) return `no ${name} in JAVA_HOME or PATH; ${HOW}`
  }
  return undefined
}

/**
 * The path of `java`, `javac` or `jar`.
 *
 * @throws ERR_ENGINE_MISSING
 */
export async function requireJava(name: 'java' | 'javac' | 'jar'): Promise<string> {
  const path = await findJava(name)
  if (path !== undefined) return path
  throw new TroupeError('ERR_ENGINE_MISSING', `no ${name} in JAVA_HOME or PATH; ${HOW}`, { data: { name } })
}

/**
 * The feature release of a `java`: 17 for 17.0.15.
 *
 * @throws ERR_ENGINE_VERSION if Hadoop does not run on it
 */
export async function checkJavaVersion(java: string): Promise<number> {
  const said = await runProgram(java, ['-XshowSettings:none', '--version'])
  const feature = Number(/\b(\d+)(?:\.\d+)*/.exec(said)?.[1])
  if (feature >= OLDEST && feature <= NEWEST) return feature
  throw new TroupeError(
    'ERR_ENGINE_VERSION',
    `Hadoop 3.4 runs on Java ${OLDEST} to ${NEWEST}; ${java} is ${said.split('\n', 1)[0] ?? 'silent'}. To get one: ${HOW}`,
    { data: { java, feature } },
  )
}
