import 'reflect-metadata'
import { injectable } from 'tsyringe'
import { describe, TroupeError } from '../errors.js'
import { Actor, type ActorClass } from './actor.js'
import { makeFacades, type AskFacadeClass, type FacadeClass } from './facade.js'
import { checkActorName, checkHandlerName } from './name.js'

/** Checks a payload that comes from another thread or process; a zod schema fits. Throws on a bad one. */
export interface PayloadSchema {
  parse(value: unknown): unknown
}

export interface HandlesOptions {
  /** Checks the message's first argument when it comes from another thread or process. */
  readonly schema?: PayloadSchema
}

export interface ActorOptions {
  /** `import.meta.url` of the module that declares the class: needed to run it in a thread or on another node. */
  readonly module?: string
}

/** One message of a protocol: what a mailbox holds beside the payload. */
export interface HandlerEntry {
  readonly name: string
  /** The class whose actors `invoke` can be called with; undefined where it needs none. */
  readonly owner: ActorClass | undefined
  /** Called with the actor as `this`. A packed entry takes the array of all arguments. */
  readonly invoke: (this: Actor, payload: unknown) => unknown
  readonly packed: boolean
  /** The entry of the same handler for messages of two arguments and more. */
  readonly several: HandlerEntry
  readonly schema: PayloadSchema | undefined
}

/** A class's protocol: derived from its methods once, shared by all its actors and refs. */
export interface ActorType {
  readonly name: string
  readonly ctor: ActorClass
  readonly module: string | undefined
  readonly handlers: ReadonlyMap<string, HandlerEntry>
  /** Its constructor takes injected parameters. */
  readonly injected: boolean
  readonly TellFacade: FacadeClass
  readonly AskFacade: AskFacadeClass
}

// oxlint-disable-next-line typescript/no-explicit-any -- a decorator takes methods of any signature
type AnyMethod = (this: any, ...args: any[]) => unknown

/** Marked functions. Keyed by function, not by class and name, so that both decorator dialects work alike. */
const marks = new WeakMap<object, HandlesOptions>()

/**
 * Marks a method as a message. Works under TypeScript's `experimentalDecorators` and under standard decorators.
 */
export function handles(options: HandlesOptions = {}) {
  // legacy: (prototype, name, descriptor); standard: (method, context)
  return (target: object, _context: unknown, descriptor?: PropertyDescriptor): void => {
    const method: unknown = descriptor === undefined ? target : descriptor.value
    if (typeof method !== 'function') {
      throw new TroupeError('ERR_ACTOR_TYPE', '@handles() marks methods, and this is none')
    }
    marks.set(method, options)
  }
}

const types = new Map<string, ActorType>()
const typeOfClass = new WeakMap<object, ActorType>()

/**
 * Registers an actor class under a name. The name is this class's own: a subclass does not inherit it.
 *
 * @throws ERR_ACTOR_NAME bad name; ERR_ACTOR_TYPE an unmarked public method, a bad handler name, a constructor
 * parameter without `@inject`, or the name is another class's
 */
export function actor(name: string, options: ActorOptions = {}) {
  return (ctor: ActorClass, _context?: unknown): void => {
    register(ctor, name, options)
  }
}

/** The protocol of a class: registered by `@actor`, or, without decorators, by its own `static type`. */
export function typeOf(ctor: ActorClass): ActorType {
  const known = typeOfClass.get(ctor)
  if (known !== undefined) return known
  if (typeof ctor !== 'function' || !(ctor.prototype instanceof Actor)) {
    throw new TroupeError('ERR_ACTOR_TYPE', `${describe(ctor)} is not a class that extends Actor`)
  }
  const own = (key: string): unknown =>
    Object.hasOwn(ctor, key) ? (ctor as unknown as Record<string, unknown>)[key] : undefined
  const name = own('type')
  if (typeof name !== 'string') {
    throw new TroupeError(
      'ERR_ACTOR_TYPE',
      `actor class ${ctor.name} has no name of its own: decorate it with @actor('name') or give it 'static type'`,
    )
  }
  const module = own('module')
  return register(ctor, name, typeof module === 'string' ? { module } : {})
}

/** The protocol registered under a name, for spawns and refs that come from elsewhere. */
export function typeByName(name: string): ActorType | undefined {
  return types.get(name)
}

/** A protocol of the runtime's own: its name starts with '$' and is never looked up. */
export function reservedType(ctor: ActorClass, name: `$${string}`): ActorType {
  const handlers = collectHandlers(ctor)
  return { name, ctor, module: undefined, handlers, injected: false, ...makeFacades(handlers) }
}

function register(ctor: ActorClass, name: string, options: ActorOptions): ActorType {
  checkActorName(name)
  const other = types.get(name)
  if (other !== undefined && other.ctor !== ctor) {
    throw new TroupeError(
      'ERR_ACTOR_TYPE',
      `two actor classes are named '${name}': ${other.ctor.name} and ${ctor.name}`,
      { data: { name } },
    )
  }
  const handlers = collectHandlers(ctor)
  const type: ActorType = {
    name,
    ctor,
    module: options.module,
    handlers,
    injected: prepareInjection(ctor),
    ...makeFacades(handlers),
  }
  types.set(name, type)
  typeOfClass.set(ctor, type)
  return type
}

/** Hooks and accessors that `Actor` itself declares. */
const RESERVED = new Set(['constructor', 'ctx', 'inject', 'onStart', 'onStop', 'onTerminated'])

function collectHandlers(ctor: ActorClass): Map<string, HandlerEntry> {
  const listed = staticHandles(ctor)
  const handlers = new Map<string, HandlerEntry>()
  const seen = new Set<string>()
  for (let proto = ctor.prototype as object; proto !== Actor.prototype; proto = parentOf(proto)) {
    for (const key of Reflect.ownKeys(proto)) {
      if (typeof key !== 'string' || RESERVED.has(key) || seen.has(key)) continue
      const method = Object.getOwnPropertyDescriptor(proto, key)?.value as unknown
      if (typeof method !== 'function') continue
      seen.add(key)
      const mark = marks.get(method) ?? listed.get(key)
      if (mark === undefined) {
        throw new TroupeError(
          'ERR_ACTOR_TYPE',
          `${ctor.name}.${key} is public but not marked: mark it with @handles() or make it #private`,
          { data: { type: ctor.name, method: key } },
        )
      }
      checkHandlerName(ctor.name, key)
      handlers.set(key, makeEntry(ctor, key, method as AnyMethod, mark))
    }
  }
  for (const name of listed.keys()) {
    if (!handlers.has(name)) {
      throw new TroupeError('ERR_ACTOR_TYPE', `${ctor.name}.handles lists '${name}', which is not a method`)
    }
  }
  return handlers
}

function parentOf(value: object): object {
  return Object.getPrototypeOf(value) as object
}

/** Without decorators: `static handles = ['add', 'count']`, or `{ add: { schema }, count: {} }`. */
function staticHandles(ctor: ActorClass): Map<string, HandlesOptions> {
  const listed = new Map<string, HandlesOptions>()
  for (let at: object = ctor; at !== Actor; at = parentOf(at)) {
    if (!Object.hasOwn(at, 'handles')) continue
    const value: unknown = (at as { handles?: unknown }).handles
    const entries = Array.isArray(value)
      ? value.map(name => [String(name), {}] as const)
      : Object.entries(value as Record<string, HandlesOptions>)
    for (const [name, options] of entries) if (!listed.has(name)) listed.set(name, options)
  }
  return listed
}

function makeEntry(
  owner: ActorClass,
  name: string,
  method: AnyMethod,
  { schema }: HandlesOptions,
): HandlerEntry {
  const several: HandlerEntry = {
    name,
    owner,
    packed: true,
    schema,
    invoke(payload) {
      return method.apply(this, payload as unknown[])
    },
    get several() {
      return several
    },
  }
  return { name, owner, packed: false, schema, invoke: method, several }
}

const INJECTION_TOKENS = 'injectionTokens'

/**
 * Every constructor parameter must carry an explicit `@inject`: one without is filled with `undefined` in silence. A
 * class without a constructor of its own takes its parent's parameters. Returns whether there are any.
 */
function prepareInjection(ctor: ActorClass): boolean {
  let at: object = ctor
  while ((at as ActorClass).length === 0 && !Reflect.hasOwnMetadata(INJECTION_TOKENS, at)) {
    if (at === Actor) return false
    at = parentOf(at)
  }
  const tokens = (Reflect.getOwnMetadata(INJECTION_TOKENS, at) ?? {}) as Record<string, unknown>
  const parameters = (at as ActorClass).length
  // a parent that is not injected at all is constructed by its child with values of the child's own
  if (at !== ctor && Object.keys(tokens).length === 0) return false
  for (let index = 0; index < parameters; index++) {
    if (Object.hasOwn(tokens, index)) continue
    throw new TroupeError(
      'ERR_ACTOR_TYPE',
      `constructor parameter ${index} of ${(at as ActorClass).name} has no @inject(Token)`,
      { data: { type: ctor.name, parameter: index } },
    )
  }
  if (at !== ctor) Reflect.defineMetadata(INJECTION_TOKENS, tokens, ctor)
  injectable()(ctor)
  return true
}
