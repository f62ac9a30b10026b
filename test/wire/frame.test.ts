// What is sent is what arrives, or the sender is told why not.

import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import t from 'tap'
import { hasCode, Rejected, TroupeError } from '../../src/errors.js'
import {
  decodeFrame,
  encodeFrame,
  ENVELOPE_KINDS,
  PROTOCOL_VERSION,
  roundTrip,
  TensorData,
  type Envelope,
  type SharedBuffers,
  type ValueHooks,
} from '../../src/wire/index.js'

const TELL: Envelope = { kind: 'tell', target: '/counter' }

const sent = (...args: unknown[]): unknown[] => decodeFrame(encodeFrame(TELL, 'add', args)).args

/** Decoded envelopes name every field; an absent one is undefined. */
function present(envelope: Envelope): Partial<Envelope> {
  return Object.fromEntries(Object.entries(envelope).filter(([, value]) => value !== undefined))
}

/** Deep equality cannot look into TensorData. */
function comparable(value: unknown): unknown {
  if (value instanceof TensorData) {
    const { dtype, shape, name, bytes } = value as TensorData
    return ['TensorData', dtype, shape, name, Buffer.from(bytes).toString('hex')]
  }
  if (value instanceof Map) return new Map([...value].map(([k, v]) => [comparable(k), comparable(v)]))
  if (value instanceof Set) return new Set([...value].map(comparable))
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, comparable(v)]))
  }
  return value
}

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'binary', maxLength: 200 }).map(s => `\uFEFF${s}`),
  fc.constantFrom(
    '__proto__',
    '$tensor',
    '$',
    '\uD800',
    'a\uDC00b',
    '\uFFFD',
    '한국어'.repeat(30),
    'é'.repeat(70),
  ),
)

const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, 0x7f, 0x80, 2 ** 32),
)

const binary = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 40 }).map(bytes => bytes.slice().buffer),
  fc.uint8ClampedArray({ maxLength: 9 }),
  fc.int8Array({ maxLength: 9 }),
  fc.uint16Array({ maxLength: 9 }),
  fc.int16Array({ maxLength: 9 }),
  fc.uint32Array({ maxLength: 9 }),
  fc.int32Array({ maxLength: 9 }),
  fc.float32Array({ maxLength: 9 }),
  fc.float64Array({ maxLength: 9 }),
  fc.bigInt64Array({ maxLength: 9 }),
  fc.bigUint64Array({ maxLength: 9 }),
)

const tensor = fc.oneof(
  fc.float32Array({ maxLength: 9 }).map(values => TensorData.of('float32', values)),
  fc.int32Array({ maxLength: 9 }).map(values => TensorData.of('int32', values, [1, values.length])),
  fc.uint16Array({ maxLength: 9 }).map(values => TensorData.of('bfloat16', values)),
  fc.bigInt64Array({ maxLength: 3 }).map(values => TensorData.of('int64', values)),
  fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 4 }).map(values => TensorData.ofStrings(values)),
)

const anything = fc.letrec<{ value: unknown; list: unknown[]; record: object }>(tie => ({
  list: fc.array(tie('value'), { maxLength: 4 }),
  record: fc
    .array(fc.tuple(text, tie('value')), { maxLength: 4 })
    .map(entries => Object.fromEntries(entries)),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(undefined, null, true, false, {}, []),
    text,
    number,
    fc.bigInt(),
    fc.bigInt({ min: -(2n ** 64n), max: 2n ** 65n }),
    fc.date({ noInvalidDate: false }),
    binary,
    tensor,
    tie('list'),
    tie('record'),
    tie('list').map(values => new Set(values)),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map(entries => new Map(entries)),
  ),
}))

const count = fc.maxSafeInteger().map(Math.abs)

const envelope: fc.Arbitrary<Envelope> = fc.record(
  {
    kind: fc.constantFrom(...ENVELOPE_KINDS),
    target: fc.string(),
    targetIncarnation: count,
    sender: fc.string(),
    sequence: count,
    stream: count,
    correlation: count,
    msLeft: fc.double({ min: 0, max: 1e12, noNaN: true }).map(ms => ms + 0),
    chain: fc.array(fc.tuple(fc.string(), count, count), { maxLength: 3 }),
    trace: fc.record(
      { parent: fc.string(), state: fc.string() },
      { requiredKeys: ['parent'], noNullPrototype: true },
    ),
  },
  { requiredKeys: ['kind', 'target'], noNullPrototype: true },
)

void t.test('any envelope and any values arrive as they were sent', async () => {
  fc.assert(
    fc.property(envelope, fc.string(), fc.array(anything.value, { maxLength: 4 }), (head, name, args) => {
      const frame = decodeFrame(encodeFrame(head, name, args))
      const got = [present(frame.envelope), frame.name, comparable(frame.args)]
      if (!isDeepStrictEqual(got, [head, name, comparable(args)])) throw new Error('not what was sent')
    }),
    { numRuns: 1_000 },
  )
})

void t.test('an absent field of the envelope costs nothing', async t => {
  const base = encodeFrame(TELL, 'add', [1]).length
  t.equal(encodeFrame({ ...TELL, targetIncarnation: undefined }, 'add', [1]).length, base)
  t.equal(encodeFrame({ ...TELL, targetIncarnation: 3 }, 'add', [1]).length, base + 1)
  t.equal(base, 29, '94 01 94 92 a4 tell a8 /counter a3 add 91 01 90 c4 00 c4 00')
})

void t.test('a frame is one plain msgpack value that any library reads', async t => {
  const args = [
    5,
    { labels: ['gpu'] },
    new Map([['a', 1]]),
    TensorData.of('float32', new Float32Array([1, 2])),
  ]
  const frame = encodeFrame({ ...TELL, sender: '/w', sequence: 7 }, 'push', args)
  const [version, header, padding, body] = new Packr({ useRecords: false }).unpack(frame) as unknown[]
  t.equal(version, PROTOCOL_VERSION)
  t.strictSame(header, [
    ['tell', '/counter', null, '/w', 7],
    'push',
    [5, { labels: ['gpu'] }, { $map: ['a', 1] }, { $tensor: 0 }],
    [['float32', [2], 0, 8]],
  ])
  t.ok((padding as Uint8Array).every(byte => byte === 0))
  t.strictSame(new Float32Array(new Uint8Array(body as Uint8Array).buffer), new Float32Array([1, 2]))
})

void t.test(
  'a frame of small values is short-lived memory: a large one does not make later ones large',
  async t => {
    const large = encodeFrame(TELL, 'add', ['x'.repeat(300_000)])
    t.equal(large.buffer.byteLength, large.byteLength, 'a large frame has its memory to itself')
    t.ok(encodeFrame(TELL, 'add', [1]).buffer.byteLength <= 65_536)
    t.strictSame(decodeFrame(large).args, ['x'.repeat(300_000)])
  },
)

void t.test('decoding leaves the bytes alone, and no trace on them', async t => {
  const frame = new Uint8Array(encodeFrame(TELL, 'add', [{ a: [1, 'two'] }]))
  const before = frame.slice()
  const first = decodeFrame(frame)
  decodeFrame(encodeFrame(TELL, 'other', [{ b: 'something else' }]))
  t.strictSame(first.args, [{ a: [1, 'two'] }])
  t.strictSame(frame, before)
  t.strictSame(Object.keys(frame).length, frame.length)
})

void t.test('what must not be sent is refused, with the path to it', async t => {
  class Account {}
  const cyclic: Record<string, unknown> = { name: 'a' }
  cyclic['list'] = [1, { back: cyclic }]
  const holes = [1]
  holes[2] = 3
  let deep: unknown = 1
  for (let i = 0; i < 101; i++) deep = [deep]
  let shared: unknown = 1
  for (let i = 0; i < 60; i++) shared = [shared, shared]
  const moved = TensorData.of('int8', new Int8Array(2))
  moved.move()
  const cases: [values: unknown[], path: string, what: RegExp][] = [
    [[{ user: { callback: () => 1 } }], 'args[0].user.callback', /^function$/],
    [[1, [Symbol('x')]], 'args[1][0]', /^symbol$/],
    [[{ 'a b': new Account() }], 'args[0]["a b"]', /^instance of Account$/],
    [[new Map([['k', [Promise.resolve()]]])], 'args[0].get("k")[0]', /^instance of Promise$/],
    [[new Map([[() => 1, 1]])], 'args[0].keys()[0]', /^function$/],
    [[new Map<unknown, unknown>([[1, () => 1]])], 'args[0].values()[0]', /^function$/],
    [[new Set([1, () => 1])], 'args[0].values()[1]', /^function$/],
    [[new DataView(new ArrayBuffer(8))], 'args[0]', /^instance of DataView$/],
    [[new WeakMap()], 'args[0]', /^instance of WeakMap$/],
    [[/x/], 'args[0]', /^instance of RegExp$/],
    [[new (class extends Array {})()], 'args[0]', /^instance of a class$/],
    [[new (class Bytes extends Uint8Array {})(3)], 'args[0]', /^instance of Bytes$/],
    [[Object.create({ inherited: 1 })], 'args[0]', /^instance of Object$/],
    [[{ rows: holes }], 'args[0].rows[1]', /^hole in an array$/],
    [[cyclic], 'args[0].list[1].back', /^cyclic, the same object as args\[0\]$/],
    [[deep], `args[0]${'[0]'.repeat(100)}`, /^nested deeper than 100 levels$/],
    [[shared], '', /more than 1048576 values in one payload; send bulk as a typed array$/],
    [[{ weights: moved }], 'args[0].weights', /moved before/],
  ]
  for (const [values, path, what] of cases) {
    try {
      encodeFrame(TELL, 'add', values)
      t.fail(`${path} was sent`)
    } catch (error) {
      if (!hasCode(error, 'ERR_PAYLOAD')) throw error
      if (path !== '') t.equal(error.data['path'], path)
      t.match(error.data['what'], what)
      t.ok(error.message.startsWith(`${String(error.data['path'])}: `))
    }
  }
  t.strictSame(sent('still works'), ['still works'])
})

void t.test('shared memory stays shared where its buffers go along, and the frame says which', async t => {
  const memory = new SharedArrayBuffer(64)
  const other = new SharedArrayBuffer(8)
  const given = {
    memory,
    floats: new Float32Array(memory, 8, 3),
    bytes: Buffer.from(memory as unknown as ArrayBuffer, 4, 5),
    longs: new BigInt64Array(other),
    tensor: new TensorData('float32', [1, 2], new Uint8Array(memory, 16, 8), 'dense/kernel'),
    text: TensorData.of('uint8', new Uint8Array(memory, 1, 0)),
    own: new Float32Array([1, 2]),
  }
  const shared: SharedBuffers = []
  const frame = encodeFrame(TELL, 'take', [given, [memory]], undefined, shared)
  t.strictSame(
    shared.map(buffer => [memory, other].indexOf(buffer)),
    [0, 1],
    'each buffer once',
  )
  const [got, [again]] = decodeFrame(frame, undefined, shared).args as [typeof given, [SharedArrayBuffer]]
  t.equal(got.memory, memory)
  t.equal(again, memory)
  t.equal(got.longs.buffer, other)
  for (const view of [got.floats, got.bytes, got.tensor.bytes, got.text.bytes]) t.equal(view.buffer, memory)
  t.ok(got.floats instanceof Float32Array && Buffer.isBuffer(got.bytes))
  t.strictSame(
    [got.floats, got.bytes, got.tensor.bytes].map(view => [view.byteOffset, view.byteLength]),
    [
      [8, 12],
      [4, 5],
      [16, 8],
    ],
  )
  t.match(got.tensor, { dtype: 'float32', shape: [1, 2], name: 'dense/kernel' })
  t.not(got.own.buffer, given.own.buffer, 'what is not shared is copied as ever')
  const [round] = roundTrip([given]) as [typeof given]
  t.equal(round.memory, memory, 'so a strict runtime shares it too')
  t.equal(round.tensor.bytes.buffer, memory)
})

void t.test('shared memory that would leave its process is refused, with the path and a way out', async t => {
  const memory = new SharedArrayBuffer(16)
  const cases: [values: unknown[], path: string][] = [
    [[1, { region: memory }], 'args[1].region'],
    [[new Map([['w', [new Float32Array(memory)]]])], 'args[0].get("w")[0]'],
    [[{ weights: TensorData.of('float32', new Float32Array(memory)) }], 'args[0].weights'],
  ]
  for (const [values, path] of cases) {
    t.throws(() => encodeFrame(TELL, 'take', values), {
      code: 'ERR_SHARED_MEMORY',
      data: { path },
      message: `${path}: shared memory. Remedy: shared memory cannot leave its process: send a copy (tensor.copy(), array.slice())`,
    })
  }
  const copies = [new Float32Array(memory).slice(), TensorData.of('float32', new Float32Array(memory)).copy()]
  const [array, tensor] = sent(...copies) as [Float32Array, TensorData]
  t.strictSame([array.length, tensor.size], [4, 4], 'the remedy works')
  const error = new TroupeError('ERR_INTERNAL', 'odd', { data: { memory } })
  t.match((sent(error)[0] as TroupeError).data, { dropped: /^args\[0\]\.data\.memory: shared memory/ })
  class Own extends Float32Array {}
  t.throws(() => roundTrip([Reflect.construct(Own, [memory])]), {
    code: 'ERR_PAYLOAD',
    message: /instance of Own/,
  })
})

void t.test('a key named __proto__ arrives as an own property and changes no prototype', async t => {
  const hostile: unknown = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}')
  const [got] = sent(hostile) as [Record<string, unknown>]
  t.strictSame(Object.keys(got), ['__proto__', 'a'])
  t.equal(Object.getPrototypeOf(got), Object.prototype)
  t.equal(({} as Record<string, unknown>)['polluted'], undefined)
  const names = { constructor: { prototype: 1 }, hasOwnProperty: 2, toString: 3, toJSON: 4 }
  t.ok(isDeepStrictEqual(sent(names), [names]))
})

void t.test('own data that looks like a tag stays data', async t => {
  const values = [{ $tensor: 0 }, { $map: [1] }, { $: 1 }, { $ref: '/x', more: 1 }, { $object: ['a', 1] }]
  t.strictSame(sent(...values), values)
})

void t.test('an object of more keys than msgpackr writes arrives whole', async t => {
  const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]))
  t.ok(isDeepStrictEqual(sent(wide), [wide]))
})

void t.test('errors keep name, code, data, stack and causes', async t => {
  const cause = new TypeError('no such thing')
  const [failed, rejected, plain] = sent(
    new TroupeError('ERR_MAILBOX_FULL', 'mailbox of /a is full', { data: { limit: 3 }, cause }),
    new Rejected('OUT_OF_STOCK', 'none left', { article: 4711 }),
    Object.assign(new RangeError('odd'), { code: 'EODD' }),
  ) as [TroupeError, Rejected, Error]
  t.ok(failed instanceof TroupeError)
  t.ok(hasCode(failed, 'ERR_MAILBOX_FULL'))
  t.match(failed.message, /^mailbox of \/a is full\. Remedy: /)
  t.strictSame(failed.data, { limit: 3 })
  t.match(failed.cause, { name: 'TypeError', message: 'no such thing' })
  t.ok(rejected instanceof Rejected)
  t.match(rejected, { code: 'OUT_OF_STOCK', message: 'none left', data: { article: 4711 } })
  t.match(plain, { name: 'RangeError', message: 'odd', code: 'EODD' })
  t.match(plain.stack, /frame\.test/)
})

void t.test('an error gets through whatever hangs on it', async t => {
  const bytes = new Uint8Array([1])
  const data: Record<string, unknown> = { bytes, callback: () => 1 }
  const broken = Object.assign(new Error('broken \uD800'), { data })
  let chain: Error = broken
  for (let i = 0; i < 40; i++) chain = new Error(`level ${i}`, { cause: chain })
  const [first, tail, second] = sent(broken, bytes, chain) as [Error & { data: unknown }, Uint8Array, Error]
  t.match(first.message, 'broken \uFFFD')
  t.match(first.data, { dropped: /^args\[0\]\.data\.callback: function/ })
  t.strictSame(tail, bytes)
  let levels = 0
  for (let at: unknown = second; at instanceof Error; at = at.cause) levels++
  t.equal(levels, 17)
})

void t.test('hooks carry what the codec does not know', async t => {
  class Ref {
    constructor(readonly path: string) {}
  }
  const hooks: ValueHooks = {
    encode: value => (value instanceof Ref ? ['ref', { path: value.path, when: new Date(5) }] : undefined),
    decode: (tag, data) => (tag === 'ref' ? new Ref((data as { path: string }).path) : undefined),
  }
  const [got] = roundTrip([{ to: new Ref('/a'), list: [new Ref('/b')] }], hooks)
  t.strictSame(got, { to: new Ref('/a'), list: [new Ref('/b')] })
  t.throws(() => roundTrip([new Ref('/a')]), {
    code: 'ERR_PAYLOAD',
    message: /^args\[0\]: instance of Ref\./,
  })
  t.throws(() => decodeFrame(encodeFrame(TELL, 'add', [new Ref('/a')], hooks)), {
    code: 'ERR_FRAME',
    data: { field: 'args' },
    message: /unknown tag "ref"/,
  })
  const greedy: ValueHooks = { ...hooks, encode: () => ['map', 1] }
  t.throws(() => encodeFrame(TELL, 'add', [new Ref('/a')], greedy), {
    code: 'ERR_PAYLOAD',
    message: /own tag 'map'/,
  })
  const strict: ValueHooks = {
    ...hooks,
    decode: () => {
      throw new Error('no such actor')
    },
  }
  t.throws(() => decodeFrame(encodeFrame(TELL, 'add', [new Ref('/a')], hooks), strict), {
    code: 'ERR_FRAME',
    cause: { message: 'no such actor' },
  })
})

void t.test('roundTrip freezes what was given and what arrives', async t => {
  const given = { list: [1, { deep: true }], inner: Object.freeze({ open: { x: 1 } }) }
  const [arrived] = roundTrip([given]) as [typeof given]
  t.not(arrived, given)
  for (const value of [given, arrived]) {
    t.throws(() => value.list.push(2), TypeError)
    t.throws(() => Object.assign(value.inner.open, { x: 2 }), TypeError)
    t.ok(Object.isFrozen(value.list[1]))
  }
  t.strictSame(arrived, given)
})
