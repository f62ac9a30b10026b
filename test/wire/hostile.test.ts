// Bytes from a stranger end in a typed, counted error that names the field: never in a crash, a hang, a read past the
// end, a changed prototype, an extension object, or an allocation beyond the frame.

import { Packr } from 'msgpackr'
import t from 'tap'
import { hasCode } from '../../src/errors.js'
import { decodeFrame, encodeFrame, TensorData, wireCounters, type Envelope } from '../../src/wire/index.js'
import { soak } from '../soak/wire.js'

const TELL: Envelope = { kind: 'tell', target: '/counter' }
const packr = new Packr({ useRecords: false })

/** A frame that is right but for what is given: any header, written as it is, and any body. */
function frameOf(header: unknown, body: Uint8Array = new Uint8Array(0)): Buffer {
  return frameAround(packr.pack(header), body)
}

function frameAround(header: Uint8Array, body: Uint8Array = new Uint8Array(0)): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(body.length)
  const unpadded = 2 + header.length + 2 + 5
  const padding = Buffer.alloc((8 - (unpadded % 8)) % 8)
  const head = [Buffer.of(0x94, 1), header, Buffer.of(0xc4, padding.length), padding]
  return Buffer.concat([...head, Buffer.of(0xc6), size, body])
}

/** A header in hexadecimal, its one argument left out. */
const around = (argument: string): Buffer =>
  frameAround(Buffer.from(`94 92a474656c6ca12f a0 91 ${argument} 90`.replaceAll(' ', ''), 'hex'))

const header = (envelope: unknown, ...rest: unknown[]): Buffer =>
  frameOf([envelope, ...(rest.length > 0 ? rest : ['add', [], []])])

/** A frame of one argument and one tensor, by what is said of it. */
const tensor = (descriptor: unknown[], body = 16, argument: unknown = { $tensor: 0 }): Buffer =>
  frameOf([['tell', '/'], '', [argument], [descriptor]], new Uint8Array(body).fill(1))

const valid = Buffer.from(encodeFrame(TELL, 'add', [1]))

/** The fields that must be named, each with the frames that must be refused for them. */
const HOSTILE: Readonly<Record<string, Readonly<Record<string, Uint8Array>>>> = {
  frame: {
    'no bytes': Buffer.alloc(0),
    'not an array': Buffer.from('81a16101', 'hex'),
    'an array of three': Buffer.from('930190c400', 'hex'),
    'bytes after the end': Buffer.concat([valid, Buffer.of(0)]),
    'two frames': Buffer.concat([valid, valid]),
  },
  version: {
    'cut before the version': valid.subarray(0, 1),
    'another version': Buffer.concat([Buffer.of(0x94, 2), valid.subarray(2)]),
    'a version that is no number': Buffer.concat([Buffer.of(0x94, 0xa0), valid.subarray(2)]),
  },
  header: {
    'cut before the header': valid.subarray(0, 2),
    'cut in the header': valid.subarray(0, 9),
    'a header that is a map': frameOf({}),
    'a header of three': frameOf([['tell', '/'], '', []]),
    'undefined as an extension': around('d40000'),
    'a record definition': around('d4720091a161a101'),
    'a record definition of two bytes': around('d5720101 91a161 01'),
    'a RegExp': around('d47800 92a178a167'),
    'an Error': around('d46500 93a5457272a16dc0'),
    'a Set': around('d47300 9101'),
    'a timestamp': around('d6ff00000001'),
    'a typed array': around('c7057402 01020304'),
    'a bundle of strings': around('d662 00000001'),
    'a pointer': around('d670 00000001'),
    'an extension of 2^32 bytes': around('c9ffffffff01'),
    'the byte 0xc1': around('c1'),
    'a binary': around('c40101'),
    'a key that is a number': around('810101'),
    'a key that is an array': around('819001'),
    'a key that is a map': around('818001'),
    'the key __proto__': around('81 a95f5f70726f746f5f5f 81a16101'),
    'the key __proto__ among others': around('82a16101a95f5f70726f746f5f5f01'),
    'the key __proto__ with a long head': around('81d9095f5f70726f746f5f5f01'),
    'an array of 2^32 elements': around('ddffffffff'),
    'a map of 2^32 entries': around('dfffffffff'),
    'a map of 2^31 entries whose doubled count is 0 in 32 bits': around('df80000000'),
    'a string of 2^32 bytes': around('dbffffffff'),
    'a key of 2^32 bytes': around('81dbffffffff'),
    'a string one byte longer than the frame': around('d9ff'),
    'arrays in arrays, each of them all that is left': around('dc0020'.repeat(16)),
    'nesting beyond the limit': around(`${'91'.repeat(127)}c0`),
    'nesting of maps beyond the limit': around(`${'81a161'.repeat(127)}c0`),
    'nesting by a megabyte of arrays': around('91'.repeat(1 << 20)),
    'a byte order mark that would get lost': around(`d941efbbbf${'61'.repeat(62)}`),
  },
  padding: {
    'cut before the padding': valid.subarray(0, -4),
    'cut in the padding': valid.subarray(0, -3),
    'padding that is a string': Buffer.concat([valid.subarray(0, -4), Buffer.from('a0c400', 'hex')]),
    'padding of 8 bytes': Buffer.concat([
      valid.subarray(0, -4),
      Buffer.from('c4080000000000000000c400', 'hex'),
    ]),
    'a body that is not aligned': Buffer.concat([valid.subarray(0, -4), Buffer.from('c400c40101', 'hex')]),
  },
  body: {
    'cut before the body': valid.subarray(0, -2),
    'a body that is nil': Buffer.concat([valid.subarray(0, -2), Buffer.of(0xc0)]),
    'a body of more than there is': Buffer.concat([
      valid.subarray(0, -2),
      Buffer.from('c6ffffffff00', 'hex'),
    ]),
    'bytes that belong to no tensor': frameOf([['tell', '/'], '', [], []], new Uint8Array(8)),
    'bytes behind the last tensor': tensor(['uint8', [8], 0, 8]),
  },
  envelope: {
    'not an array': header('x'),
    'too short': header(['tell']),
    'too long': header(Array(11).fill(null)),
  },
  kind: {
    unknown: header(['tall', '/']),
    absent: header([null, '/']),
    inherited: header(['constructor', '/']),
  },
  target: { absent: header(['tell', null]), 'a number': header(['tell', 1]) },
  targetIncarnation: { 'a string': header(['tell', '/', '1']), negative: header(['tell', '/', -1]) },
  sender: { 'a number': header(['tell', '/', 1, 2]) },
  sequence: {
    fraction: header(['tell', '/', 1, '/a', 1.5]),
    huge: header(['tell', '/', 1, '/a', 2n ** 60n]),
  },
  stream: { 'not finite': header(['tell', '/', 1, '/a', 1, Infinity]) },
  correlation: { 'a list': header(['tell', '/', 1, '/a', 1, 1, [1]]) },
  msLeft: {
    negative: header(['tell', '/', 1, '/a', 1, 1, 1, -1]),
    'no number': header(['tell', '/', 1, '/a', 1, 1, 1, Number.NaN]),
  },
  chain: {
    'not an array': header(['tell', '/', 1, '/a', 1, 1, 1, 1, 'x']),
    'a short link': header(['tell', '/', 1, '/a', 1, 1, 1, 1, [['/a', 1]]]),
    'a link that is no path': header(['tell', '/', 1, '/a', 1, 1, 1, 1, [[1, 1, 1]]]),
    'a link without incarnation': header(['tell', '/', 1, '/a', 1, 1, 1, 1, [['/a', null, 1]]]),
  },
  trace: {
    'a string': header(['tell', '/', 1, '/a', 1, 1, 1, 1, [], 'x']),
    empty: header(['tell', '/', 1, '/a', 1, 1, 1, 1, [], []]),
    'a state that is a number': header(['tell', '/', 1, '/a', 1, 1, 1, 1, [], ['x', 1]]),
  },
  name: { 'a number': header(['tell', '/'], 5, [], []) },
  args: {
    'not an array': header(['tell', '/'], '', {}, []),
    'an unknown tag': around('81a4246d7a7000'),
    'an inherited name as a tag': header(['tell', '/'], '', [{ $constructor: 0 }], []),
    'an index out of range': header(['tell', '/'], '', [{ $tensor: 0 }], []),
    'an index that is no number': tensor(['uint8', [16], 0, 16], 16, { $tensor: '0' }),
    'a tensor named twice': tensor(['uint8', [16], 0, 16], 16, [{ $tensor: 0 }, { $tensor: 0 }]),
    'a map of three halves': header(['tell', '/'], '', [{ $map: [1, 2, 3] }], []),
    'a set that is an object': header(['tell', '/'], '', [{ $set: { length: 2 ** 32 } }], []),
    'an object whose key is a number': header(['tell', '/'], '', [{ $object: [1, 2] }], []),
    'a date that is text': header(['tell', '/'], '', [{ $date: 'now' }], []),
    'a bigint that is no number': header(['tell', '/'], '', [{ $bigint: '0x10' }], []),
    'text of numbers out of range': header(['tell', '/'], '', [{ $utf16: [65_536] }], []),
    'a number other than -0': header(['tell', '/'], '', [{ $number: '7' }], []),
    'an error without message': header(['tell', '/'], '', [{ $error: { name: 'Error' } }], []),
    'an error whose cause is text': header(
      ['tell', '/'],
      '',
      [{ $error: { name: 'Error', message: '', cause: 'x' } }],
      [],
    ),
  },
  tensors: {
    'not an array': header(['tell', '/'], '', [], {}),
    'a descriptor that is a map': header(['tell', '/'], '', [], [{}]),
    'a descriptor of three': header(['tell', '/'], '', [], [['uint8', [0], 0]]),
    'a tensor that no argument names': tensor(['uint8', [16], 0, 16], 16, 1),
  },
  'tensor.dtype': {
    unknown: tensor(['float128', [1], 0, 16]),
    inherited: tensor(['toString', [1], 0, 16]),
    'a binary that is not bytes': tensor(['float32', [16], 0, 16], 16, { $Uint8Array: 0 }),
  },
  'tensor.shape': {
    'not an array': tensor(['uint8', 16, 0, 16]),
    negative: tensor(['uint8', [-4, -4], 0, 16]),
    fraction: tensor(['uint8', [0.5, 32], 0, 16]),
    'a product that overflows 32 bits': tensor(['float32', [65_536, 65_536, 65_536, 65_536], 0, 16]),
    'a product that overflows to what fits': tensor(['uint8', [2 ** 32, 2 ** 32 + 1], 0, 16]),
    'huge, but for a zero': tensor(['uint8', [0, 2 ** 53], 0, 0], 0),
    'of too many dimensions': tensor(['uint8', Array(33).fill(1), 0, 1], 1),
    'a binary of two dimensions': tensor(['uint8', [4, 4], 0, 16], 16, { $Buffer: 0 }),
    'a binary that ends in the middle of an element': tensor(['uint8', [15], 0, 15], 15, { $Uint16Array: 0 }),
  },
  'tensor.offset': {
    'past the end': tensor(['uint8', [16], 8, 16]),
    negative: tensor(['uint8', [16], -8, 16]),
    'not aligned': tensor(['uint8', [12], 4, 12]),
    'no number': tensor(['uint8', [16], '0', 16]),
    overlapping: frameOf(
      [
        ['tell', '/'],
        '',
        [{ $tensor: 0 }, { $tensor: 1 }],
        [
          ['uint8', [16], 0, 16],
          ['uint8', [8], 8, 8],
        ],
      ],
      new Uint8Array(16),
    ),
  },
  'tensor.byteLength': {
    'past the end': tensor(['uint8', [24], 0, 24]),
    'beyond 2^53': tensor(['uint8', [16], 0, 2 ** 60]),
    negative: tensor(['uint8', [16], 0, -16]),
    'other than shape and dtype say': tensor(['float32', [3], 0, 16]),
  },
  'tensor.name': { 'a number': tensor(['uint8', [16], 0, 16, 5]) },
  'tensor.data': {
    'strings past the end': tensor(['string', [1], 0, 16]),
    'more strings than bytes': tensor(['string', [2 ** 40], 0, 16]),
  },
}

for (const [field, cases] of Object.entries(HOSTILE)) {
  void t.test(`a bad ${field} is refused, named and counted`, async t => {
    for (const [what, frame] of Object.entries(cases)) {
      const before = wireCounters().badFrames[field as 'frame'] ?? 0
      try {
        decodeFrame(frame)
        t.fail(`${what}: was taken`)
      } catch (error) {
        const code = field === 'version' ? 'ERR_PROTOCOL_VERSION' : 'ERR_FRAME'
        t.ok(hasCode(error, code), `${what}: ${String(error)}`)
        t.match(error, { name: 'TroupeError', data: { field }, message: `bad frame: ${field}: ` })
        t.equal(wireCounters().badFrames[field as 'frame'], before + 1)
      }
    }
  })
}

void t.test(
  'a stranger cannot name shared memory, and a reference cannot name what is not there',
  async t => {
    const frame = (reference: unknown): Buffer => header(['tell', '/'], '', [{ $shared: reference }], [])
    const float = [0, 'Float32Array', 0, 2]
    for (const reference of [0, float, [0, 'tensor', 0, 8, 'float32', [2], null], 'x', null, {}]) {
      t.throws(() => decodeFrame(frame(reference)), {
        code: 'ERR_FRAME',
        data: { field: 'args' },
        message: /shared memory is named, but none can come from outside/,
      })
    }
    const shared = [new SharedArrayBuffer(16)]
    t.doesNotThrow(() => decodeFrame(frame(float), undefined, shared))
    for (const [reference, field] of [
      [1, 'args'],
      [-1, 'args'],
      ['0', 'args'],
      [['length', 'Float32Array', 0, 2], 'args'],
      [[0, 'SharedArrayBuffer', 0, 2], 'args'],
      [[0, 'constructor', 0, 2], 'args'],
      [[0, 7, 0, 2], 'args'],
      [[0, 'Float32Array', 2, 2], 'args'],
      [[0, 'Float32Array', 0, 5], 'args'],
      [[0, 'Float32Array', -4, 1], 'args'],
      [[0, 'Float32Array', 0, 1.5], 'args'],
      [[0, 'Buffer', 12, 5], 'args'],
      [[0, 'tensor', 0, 17, 'uint8', [17], null], 'args'],
      [[0, 'tensor', 0, 8, 'float33', [2], null], 'tensor.dtype'],
      [[0, 'tensor', 0, 8, 'float32', [3], null], 'tensor.byteLength'],
      [[0, 'tensor', 2, 8, 'float32', [2], null], 'tensor.offset'],
      [[0, 'tensor', 0, 8, 'float32', [2], 7], 'tensor.name'],
    ] as const) {
      t.throws(() => decodeFrame(frame(reference), undefined, shared), { code: 'ERR_FRAME', data: { field } })
    }
  },
)

void t.test('a stranger cannot reach a prototype', async t => {
  const [got] = decodeFrame(
    header(['tell', '/'], '', [{ $object: ['__proto__', { polluted: true }, 'constructor', 1] }], []),
  ).args as [object]
  t.equal(Object.getPrototypeOf(got), Object.prototype)
  t.strictSame(Object.keys(got), ['__proto__', 'constructor'])
  const error = header(
    ['tell', '/'],
    '',
    [{ $error: { name: 'x', message: 'y', data: { toString: 1 } } }],
    [],
  )
  t.ok((decodeFrame(error).args[0] as Error) instanceof Error)
  t.equal(({} as Record<string, unknown>)['polluted'], undefined)
})

void t.test('all lengths of a frame are cut without a crash, and none is taken', async t => {
  const whole = encodeFrame({ ...TELL, chain: [['/a', 1, 2]] }, 'add', [
    { text: 'x'.repeat(40), map: new Map([['k', 1n]]) },
    TensorData.of('float32', new Float32Array(5)),
  ])
  const taken: number[] = []
  for (let length = 0; length < whole.length; length++) {
    try {
      decodeFrame(whole.subarray(0, length))
      taken.push(length)
    } catch (error) {
      if (!hasCode(error, 'ERR_FRAME') && !hasCode(error, 'ERR_PROTOCOL_VERSION')) throw error
    }
  }
  t.strictSame(taken, [])
})

void t.test('the error of a large bad value stays small', async t => {
  const huge = 'x'.repeat(1 << 20)
  for (const frame of [
    header([huge, '/']),
    header(['tell', [huge]]),
    header(['tell', '/'], [huge], [], []),
  ]) {
    t.throws(() => decodeFrame(frame), { message: /^.{1,400}$/s })
  }
})

void t.test('mutated frames are refused by field or decode to known classes inside the frame', async t => {
  t.comment(soak({ count: 20_000, seed: 7 }))
  t.pass()
})
