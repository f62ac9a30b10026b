import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { checkDigest } from '../digest.js'
import { download } from '../download.js'
import type { InstallOptions } from '../engine.js'
import { findProgram, runProgram } from '../program.js'
import { JARS, JARS_BYTES, jarFile, jarPath, type Jar } from './jars.js'

/** How many jars are fetched at once. */
const PARALLEL = 6

const MAVEN_CENTRAL = 'https://repo1.maven.org/maven2'

/** A repository nearer than Maven Central: its mirror in a company. */
const REPOSITORY_VARIABLE = 'MAVEN_REPO_URL'

export function mavenRepository(): string {
  return (process.env[REPOSITORY_VARIABLE] ?? '').replace(/\/+$/, '') || MAVEN_CENTRAL
}

/** Fetches the jars by `mvn`, which knows the mirrors and proxies of this place, and keeps what it fetched. */
export async function fetchByMaven(lib: string, signal: AbortSignal | undefined): Promise<void> {
  const mvn = (await findProgram('mvn')) ?? 'mvn'
  await mkdir(lib, { recursive: true })
  const pom = join(lib, 'pom.xml')
  await writeFile(pom, projectFile())
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies'
  await runProgram(mvn, ['-q', '-B', '-f', pom, goal, `-DoutputDirectory=${lib}`], {
    cwd: lib,
    ...(signal === undefined ? {} : { signal }),
  })
}

/** Each jar by name and version, with none of those it would draw in. */
function projectFile(): string {
  const dependencies = JARS.map(
    ({ group, artifact, version }) => `<dependency>
  <groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>
  <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
</dependency>`,
  )
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>troupe</groupId><artifactId>trial-hdfs</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
${dependencies.join('\n')}
</dependencies>
</project>
`
}

/** Fetches the jars one by one from a repository; the first that fails ends the others. */
export async function fetchByHttp(
  lib: string,
  repository: string,
  { report, signal }: Pick<InstallOptions, 'report' | 'signal'>,
): Promise<void> {
  await mkdir(lib, { recursive: true })
  const queue: Jar[] = [...JARS]
  const failed = new AbortController()
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal])
  let doneBytes = 0
  const received = (bytes: number): void => {
    doneBytes += bytes
    report({ doing: `fetching ${JARS.length} jars`, doneBytes, totalBytes: JARS_BYTES })
  }
  const fetchNext = async (): Promise<void> => {
    for (let jar = queue.shift(); jar !== undefined; jar = queue.shift()) {
      const path = join(lib, jarFile(jar))
      await download(`${repository}/${jarPath(jar)}`, path, { received, signal: either })
      await checkDigest(path, jar.sha256)
    }
  }
  const fetching = Array.from({ length: PARALLEL }, fetchNext)
  try {
    await Promise.all(fetching)
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(fetching)
    throw error
  }
}
