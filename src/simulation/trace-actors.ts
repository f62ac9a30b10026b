import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { events } from '../actor/events.js'
import type { World } from './world.js'

interface ActorEvent {
  readonly runtime?: string
  readonly path?: string
  readonly incarnation?: number
  readonly message?: string
  readonly cause?: unknown
  readonly reason?: { readonly kind?: string }
  readonly error?: unknown
}

/** Puts what happens to actors into the trace, so that a person can read it. Answers a function that ends that. */
export function traceActors(world: World): () => void {
  const subscriptions = Object.entries(events).map(([name, channel]) => {
    const onEvent = (message: unknown): void => {
      const { runtime, path, incarnation, message: handler, reason, cause, error } = message as ActorEvent
      const facts = [incarnation, handler, reason?.kind, textOf(cause), textOf(error)]
      world.note(`${name} ${[runtime, path, ...facts].filter(fact => fact !== undefined).join(' ')}`)
    }
    subscribe(channel.name, onEvent)
    return () => unsubscribe(channel.name, onEvent)
  })
  return () => {
    for (const end of subscriptions) end()
  }
}

/** One line, without a stack. */
function textOf(value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string') return value
  if (value instanceof Error) return `${value.name}: ${value.message.split('\n', 1).join('')}`
  return typeof value === 'object' && value !== null && 'kind' in value ? String(value.kind) : undefined
}
