/**
 * A program or library that Troupe uses and npm does not bring: native TensorFlow, nats-server, a trial HDFS.
 * An engine knows where it may be found, how it is fetched, and how to tell whether it works.
 */
export interface Engine {
  readonly name: EngineName
  /** As people write it: `nats-server`. */
  readonly title: string
  /** What `install` installs; names the directory in the cache. */
  readonly version: string
  /** Where `install` looks, in the order it tries, and what each costs. Asks no network. */
  sources(): Promise<readonly EngineSource[]>
  /** The engine that would be used now, wherever it is; nothing is started or loaded. */
  find(): Promise<FoundEngine | undefined>
  /**
   * Fills `into`, an empty directory which is moved to its place afterwards: no file may hold its path.
   *
   * @returns which source it came from, for the manifest
   * @throws ERR_ENGINE_PLATFORM, ERR_ENGINE_INSTALL naming what each source answered, ERR_ENGINE_DIGEST,
   *   ERR_ENGINE_DISK_FULL
   */
  install(into: string, options: InstallOptions): Promise<string>
  /**
   * Tries what was installed: starts it, or loads it in a process of its own.
   *
   * @param dir where `install` has put it, perhaps not yet its final place
   * @throws ERR_ENGINE_BROKEN
   */
  verify(dir: string, signal?: AbortSignal): Promise<void>
  /** For `troupe doctor`: what works and what does not. Never rejects because of the engine. */
  examine(options: ExamineOptions): Promise<readonly Check[]>
}

/** In the order in which people see them. */
export const ENGINE_NAMES = ['tensorflow', 'nats', 'hdfs'] as const

export type EngineName = (typeof ENGINE_NAMES)[number]

export interface EngineSource {
  /** As people know it: `GitHub release`, `Maven Central by mvn`. */
  readonly name: string
  /** Estimates, said before anything starts. */
  readonly downloadBytes: number
  readonly diskBytes: number
  /** Why it cannot be used on this machine; absent if it may be tried. */
  readonly unusable?: string
}

export interface FoundEngine {
  readonly version: string
  /** The program, library or directory. */
  readonly path: string
  /** How it was found: `NATS_SERVER_BIN`, `PATH`, `cache`. */
  readonly by: string
}

export interface InstallOptions {
  /** An archive or program that somebody brought along: nothing is downloaded then. */
  readonly from?: string
  readonly report: (progress: InstallProgress) => void
  readonly signal?: AbortSignal
}

export interface InstallProgress {
  /** What is being done: `fetching 56 jars`. */
  readonly doing: string
  readonly doneBytes?: number
  readonly totalBytes?: number
}

export interface ExamineOptions {
  /** A server to talk to, if the engine is one: `nats://host:4222`, `http://namenode:9870`. */
  readonly url?: string
  readonly signal?: AbortSignal
}

/** One line of `troupe doctor`. */
export interface Check {
  /** What was tried: `starts`, `loads in a thread`. */
  readonly name: string
  readonly ok: boolean
  /** What was seen: a version, or what went wrong. */
  readonly detail: string
  /** A command that mends it, if one does. */
  readonly remedy?: string
}
