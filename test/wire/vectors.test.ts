// The format is what the vectors say, in both directions and in two languages. A change of their bytes is a new
// protocol version.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import t from 'tap'
import { decodeFrame, encodeFrame, TensorData } from '../../src/wire/index.js'
import { VECTORS } from '../fixtures/wire/vectors.js'

const FOLDER = join(import.meta.dirname, '../fixtures/wire')
const PYTHON = process.env['PYTHON'] ?? 'python3'
const ENABLE = `${PYTHON} -m pip install msgpack numpy (PYTHON names another interpreter)`

const python = async (...args: string[]): Promise<string> => {
  const { stdout } = await promisify(execFile)(PYTHON, args, {
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  })
  return stdout.trim()
}

const present = (record: object): unknown =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))

/** Deep equality cannot look into TensorData. */
const comparable = (args: readonly unknown[]): unknown[] =>
  args.map(value => {
    if (!(value instanceof TensorData)) return value
    const { dtype, shape, name, bytes } = value as TensorData
    return { dtype, shape, name, bytes: Buffer.from(bytes) }
  })

void t.test('messages are written as the vectors, byte for byte', async t => {
  for (const { name, envelope, message, args } of VECTORS) {
    const expected = await readFile(join(FOLDER, `${name}.bin`))
    t.equal(
      Buffer.from(encodeFrame(envelope, message, args())).toString('hex'),
      expected.toString('hex'),
      name,
    )
  }
})

for (const suffix of ['.bin', '.python.bin']) {
  void t.test(`NAME${suffix} is read as the message it was made from`, async t => {
    for (const { name, envelope, message, args } of VECTORS) {
      const frame = decodeFrame(await readFile(join(FOLDER, name + suffix)))
      t.strictSame(present(frame.envelope), envelope, name)
      t.equal(frame.name, message)
      t.ok(isDeepStrictEqual(comparable(frame.args), comparable(args())), name)
    }
  })
}

void t.test('vectors.json says the same as vectors.ts', async t => {
  const found: unknown = JSON.parse(await readFile(join(FOLDER, 'vectors.json'), 'utf8'))
  const expected = VECTORS.map(({ name, message, wire }) => ({ name, message, ...wire }))
  t.ok(isDeepStrictEqual(found, JSON.parse(JSON.stringify(expected))), 'else run test/fixtures/wire/write.ts')
})

const missing = await python('-c', 'import msgpack, numpy').then(
  () => undefined,
  (error: unknown) => String(error),
)

if (missing === undefined) {
  void t.test('Python reads and writes the same bytes', async t => {
    t.match(await python(join(FOLDER, 'check.py')), new RegExp(`^${VECTORS.length} vectors`))
    const folder = t.testdir()
    await python(join(FOLDER, 'check.py'), '--write', folder)
    for (const { name } of VECTORS) {
      const file = `${name}.python.bin`
      t.strictSame(await readFile(join(folder, file)), await readFile(join(FOLDER, file)), file)
    }
  })
} else if (process.env['CI'] === 'true') {
  t.fail(`Python reads and writes the same bytes: ${missing}\nrun: ${ENABLE}`)
} else {
  process.stderr.write(`SKIPPED: the wire vectors were not checked by Python. To enable: ${ENABLE}\n`)
  void t.test('Python reads and writes the same bytes', { skip: `enable with: ${ENABLE}` }, async () => {})
}
