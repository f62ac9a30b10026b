import t from 'tap'
import * as door from 'troupe'
import {
  Actor,
  actor,
  ActorContext,
  Args,
  Clock,
  handles,
  inject,
  Logger,
  Random,
  Scheduler,
  token,
  type ActorClass,
} from 'troupe'
import { typeByName, typeOf } from '../../src/actor/protocol.js'
import { Checked, Derived, Given, Store } from '../helpers/actors/injected.js'
import { onEach, published, stage } from '../helpers/runtime.js'

t.setTimeout(180_000)

/** Registers what `define` makes; the error it is refused with. */
const refused = (define: () => unknown): unknown => {
  try {
    define()
  } catch (error) {
    return error
  }
  return undefined
}

t.test('an unmarked public method is refused at registration, and named', async t => {
  const error = refused(() => {
    @actor('protocol-unmarked')
    class Unmarked extends Actor {
      @handles() marked(): void {}
      forgotten(): void {}
    }
    return Unmarked
  })
  t.match(error, {
    code: 'ERR_ACTOR_TYPE',
    message: /Unmarked\.forgotten.*@handles\(\).*#private/,
    data: { type: 'Unmarked', method: 'forgotten' },
  })
  t.equal(typeByName('protocol-unmarked'), undefined)
})

t.test('what TypeScript alone hides is public to everybody else: private and protected too', async t => {
  const error = refused(() => {
    @actor('protocol-private')
    class Hidden extends Actor {
      @handles() call(): void {
        this.secret()
      }
      private secret(): void {}
    }
    return Hidden
  })
  t.match(error, { code: 'ERR_ACTOR_TYPE', data: { method: 'secret' } })
})

t.test('hooks, accessors, symbols and #private methods are no messages', async t => {
  @actor('protocol-quiet')
  class Quiet extends Actor {
    override onStart(): void {}
    override onStop(): void {}
    override onTerminated(): void {}
    get size(): number {
      return this.#hidden()
    }
    [Symbol.iterator](): void {}
    @handles() only(): number {
      return this.size
    }
    #hidden(): number {
      return 1
    }
  }
  t.same([...typeOf(Quiet).handlers.keys()], ['only'])
})

t.test('a bad handler name is refused: with and then are taken, odd characters and length', async t => {
  for (const name of ['with', 'then', 'a b', 'ä', '$x', 'x'.repeat(65)]) {
    class Odd extends Actor {
      static readonly type = 'protocol-odd'
      static readonly handles = [name]
    }
    Object.defineProperty(Odd.prototype, name, { value: () => undefined, configurable: true })
    t.match(
      refused(() => typeOf(Odd)),
      { code: 'ERR_ACTOR_TYPE', data: { type: 'Odd', handler: name } },
      name,
    )
  }
})

t.test('a bad name of a class is refused', async t => {
  for (const name of ['', '$mine', 'a.b', 'a/b', 'x'.repeat(65)]) {
    const error = refused(() => {
      @actor(name)
      class Misnamed extends Actor {}
      return Misnamed
    })
    t.match(error, { code: 'ERR_ACTOR_NAME', data: { name } }, name)
  }
})

t.test('a name is one class’s own: not another’s, and not its subclass’s', async t => {
  @actor('protocol-own')
  class Own extends Actor {
    @handles() ping(): string {
      return 'pong'
    }
  }
  class Sub extends Own {}
  t.match(
    refused(() => typeOf(Sub)),
    { code: 'ERR_ACTOR_TYPE', message: /Sub has no name of its own/ },
  )
  const error = refused(() => {
    @actor('protocol-own')
    class Rival extends Actor {}
    return Rival
  })
  t.match(error, { code: 'ERR_ACTOR_TYPE', message: /'protocol-own': Own and Rival/ })
  @actor('protocol-sub')
  class NamedSub extends Own {}
  t.same([...typeOf(NamedSub).handlers.keys()], ['ping'], 'messages are inherited')
})

t.test('an override must be marked again', async t => {
  class Base extends Actor {
    @handles() ping(): string {
      return 'pong'
    }
  }
  const error = refused(() => {
    @actor('protocol-override')
    class Override extends Base {
      override ping(): string {
        return 'no'
      }
    }
    return Override
  })
  t.match(error, { code: 'ERR_ACTOR_TYPE', data: { method: 'ping' } })
})

t.test('@handles marks methods, and only classes that extend Actor can be spawned', async t => {
  t.match(
    refused(() => {
      class Field extends Actor {
        @handles() field = 1
      }
      return Field
    }),
    { code: 'ERR_ACTOR_TYPE', message: /marks methods/ },
  )
  const { troupe } = await stage(t)
  for (const type of [class {}, Date, 'counter', undefined]) {
    await t.rejects(troupe.spawn(type as unknown as ActorClass, { name: 'a' }), { code: 'ERR_ACTOR_TYPE' })
  }
  class Nameless extends Actor {}
  await t.rejects(troupe.spawn(Nameless, { name: 'a' }), {
    code: 'ERR_ACTOR_TYPE',
    message: /@actor\('name'\).*static type/,
  })
})

t.test('static handles name methods; with a schema each', async t => {
  class Listed extends Actor {
    static readonly type = 'protocol-listed'
    static readonly handles = { ping: { schema: { parse: String } }, pong: {} }
    ping(): void {}
    pong(): void {}
  }
  const { handlers } = typeOf(Listed)
  t.equal(handlers.get('ping')?.schema?.parse(1), '1')
  t.equal(handlers.get('pong')?.schema, undefined)
  class Missing extends Actor {
    static readonly type = 'protocol-missing'
    static readonly handles = ['ping', 'gone']
    ping(): void {}
  }
  t.match(
    refused(() => typeOf(Missing)),
    { code: 'ERR_ACTOR_TYPE', message: /'gone', which is not a method/ },
  )
})

t.test('a constructor parameter without @inject is refused at registration', async t => {
  const error = refused(() => {
    @actor('protocol-uninjected')
    class Uninjected extends Actor {
      constructor(@inject(Clock) _clock: Clock, _random: Random) {
        super()
      }
    }
    return Uninjected
  })
  t.match(error, {
    code: 'ERR_ACTOR_TYPE',
    message: /parameter 1 of Uninjected.*@inject/,
    data: { type: 'Uninjected', parameter: 1 },
  })
  class Bare extends Actor {
    static readonly type = 'protocol-bare'
    constructor(readonly clock: Clock) {
      super()
    }
  }
  t.match(
    refused(() => typeOf(Bare)),
    { code: 'ERR_ACTOR_TYPE', data: { parameter: 0 } },
  )
})

t.test('a default does without @inject', async t => {
  @actor('protocol-default')
  class Defaulted extends Actor {
    constructor(
      @inject(Args) readonly from: number,
      readonly by = 2,
    ) {
      super()
    }
    @handles() sum(): number {
      return this.from + this.by
    }
  }
  const { troupe } = await stage(t)
  const ref = await troupe.spawn(Defaulted, { name: 'a', args: 40 })
  t.equal(await ref.ask.sum(), 42)
})

const Missing = token<object>('protocol.Missing')

t.test('every binding of the container resolves', async t => {
  const service = { get: () => 'value' }
  const { troupe } = await stage(t, { provide: [{ token: Store, value: service }] })
  const bindings = Object.values(door).filter(
    (value): value is door.Token<unknown> => typeof value === 'symbol',
  )
  for (const binding of [ActorContext, Args, Clock, Logger, Random, Scheduler])
    t.ok(bindings.includes(binding))
  const seen = new Map<symbol, unknown>()
  class Resolving extends Actor {
    static readonly type = 'protocol-resolving'
    readonly values = [...bindings, Store].map(binding => seen.set(binding, this.inject(binding)))
  }
  await troupe.spawn(Resolving, { name: 'resolving', args: { some: 'args' } })
  for (const binding of [...bindings, Store]) {
    t.equal(typeof seen.get(binding), 'object', `${String(binding)} resolves`)
  }
  t.same(seen.get(Args), { some: 'args' })
  t.equal(seen.get(Store), service)
})

onEach(t, 'constructors are injected, also those that a class inherits', async (t, isolation) => {
  const { troupe } = await stage(t, { provide: [{ token: Store, value: { get: () => 'value' } }] })
  // services are objects of one thread: an isolated actor has what travels
  const spawning = troupe.spawn(Derived, { name: 'a', isolation, args: { from: 3 } })
  const derived = await spawning
  t.same(await derived.ask.injected(), { path: '/a', from: 3, clock: 'number', random: 'number' })
})

onEach(t, 'Args is undefined where spawn was given none', async (t, isolation) => {
  const { troupe } = await stage(t)
  const given = await troupe.spawn(Given, { name: 'a', isolation })
  t.equal(await given.ask.args(), 'undefined')
})

t.test('what nobody provides fails the start and is named', async t => {
  @actor('protocol-needs')
  class Needs extends Actor {
    constructor(@inject(Missing) readonly missing: object) {
      super()
    }
  }
  const { troupe } = await stage(t)
  await t.rejects(troupe.spawn(Needs, { name: 'a' }), {
    code: 'ERR_ACTOR_START',
    cause: { message: /protocol\.Missing/ },
  })
})

t.test('inject() works while the actor is constructed, and ctx only in a runtime', async t => {
  class Late extends Actor {
    static readonly type = 'protocol-late'
    static readonly handles = ['late']
    late(): unknown {
      return this.inject(Clock)
    }
  }
  const { troupe } = await stage(t)
  const late = await troupe.spawn(Late, { name: 'late' })
  await t.rejects(late.ask.late(), { cause: { code: 'ERR_ACTOR_TYPE', message: /outside its constructor/ } })
  t.throws(() => new Late().ctx, { code: 'ERR_ACTOR_TYPE', message: /constructed with 'new'/ })
})

t.test('a schema checks what comes from another thread: the sender is refused, the actor lives', async t => {
  const { troupe } = await stage(t)
  const checked = await troupe.spawn(Checked, { name: 'a', isolation: 'thread' })
  t.equal(await checked.ask.add(2), 2)
  await t.rejects(checked.ask.add('two' as unknown as number), {
    code: 'ERR_PAYLOAD',
    data: { type: 'test-checked', message: 'add' },
  })
  const letters = published(t, 'troupe.dead-letter', troupe)
  checked.tell.add('three' as unknown as number)
  t.equal(await checked.ask.add(1), 3, 'the same instance')
  t.match(letters, [{ path: '/a', message: 'add', cause: /does not fit its schema/ }])
  t.equal(troupe.inspect().children[1]?.restarts, 0)
})
