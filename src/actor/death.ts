/** Why an actor's life, or one incarnation of it, ended. A closed union: new kinds are a breaking change. */
export type DeathReason =
  /** On request: by itself, its parent or the runtime. */
  | { readonly kind: 'stopped' }
  /** It threw, its thread ended, or it broke a limit. */
  | { readonly kind: 'failed'; readonly cause: unknown }
  /** Ended from outside without its hooks. */
  | { readonly kind: 'killed' }
  /** Its node went silent; the actor may still be alive there. */
  | { readonly kind: 'node-lost'; readonly node: string }
  /** Nobody knows an actor of this path. */
  | { readonly kind: 'never-existed' }

export const STOPPED: DeathReason = Object.freeze({ kind: 'stopped' })
export const KILLED: DeathReason = Object.freeze({ kind: 'killed' })
export const NEVER_EXISTED: DeathReason = Object.freeze({ kind: 'never-existed' })

/** What `onStart` is told. */
export type StartCause =
  | { readonly kind: 'spawned' }
  /** `reason`: how the incarnation before ended; `restarts`: how many there were, this one included. */
  | { readonly kind: 'restarted'; readonly reason: DeathReason; readonly restarts: number }

export const SPAWNED: StartCause = Object.freeze({ kind: 'spawned' })

/** What `onTerminated` is told of an actor that was watched. */
export interface Terminated {
  readonly path: string
  /** The incarnation that died; 0 if it never existed. */
  readonly incarnation: number
  readonly reason: DeathReason
}
