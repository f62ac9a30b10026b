import { readdirSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import type { Troupe } from 'troupe'
import { stage } from '../helpers/runtime.js'

t.setTimeout(180_000)

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FIXTURES = resolve(ROOT, 'test/fixtures/typecheck')
const FILES = readdirSync(FIXTURES).map(name => join(FIXTURES, name))

/** One error as it stands in a fixture: `// error TS2345: what the compiler says first` above the line. */
interface Expected {
  readonly line: number
  readonly error: string
}

function expectedErrors(file: string): Expected[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((text, index) => {
    const [, error] = /^\s*\/\/ error (TS\d+: .+)$/.exec(text) ?? []
    return error === undefined ? [] : [{ line: index + 2, error }]
  })
}

function compile(experimentalDecorators: boolean): (file: string) => Expected[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), path => ts.sys.readFile(path)) as {
    config: unknown
  }
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT)
  const program = ts.createProgram(FILES, {
    ...options,
    noEmit: true,
    incremental: false,
    experimentalDecorators,
  })
  return file => {
    const source = program.getSourceFile(file)
    if (source === undefined) throw new Error(`${file} is not part of the program`)
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    return found.map(({ start = 0, code, messageText }) => ({
      line: source.getLineAndCharacterOfPosition(start).line + 1,
      error: `TS${code}: ${ts.flattenDiagnosticMessageText(messageText, '\n').split('\n')[0] ?? ''}`,
    }))
  }
}

/** Fixtures by what they show; a control has no expected errors. */
const PROMISES: Readonly<Record<string, string>> = {
  'counter.ts': 'a correct program compiles: messages, replies, deferred replies, refs, injection',
  'wrong-payload.ts': 'a wrong payload does not compile',
  'unknown-message.ts': 'an unknown message does not compile',
  'hook-as-message.ts': 'a lifecycle hook is not a message',
  'reply-type.ts': "a reply has the handler's type",
  'refs.ts': 'refs of different classes are different types, and spawn options are checked',
  'no-decorators.ts': 'a class without decorators compiles',
  'no-decorators-wrong.ts': 'without decorators the messages are as strictly typed',
}

const STANDARD_PROMISES: Readonly<Record<string, string>> = {
  ...PROMISES,
  'counter.ts': 'parameters cannot be decorated: constructors inject with this.inject(Token)',
  'standard-decorators.ts': 'a correct program compiles',
  'standard-decorators-wrong.ts': 'messages are as strictly typed, and only methods of actors can be marked',
}

for (const [dialect, experimental, promises] of [
  ['experimentalDecorators', true, PROMISES],
  ['standard decorators', false, STANDARD_PROMISES],
] as const) {
  void t.test(`types under ${dialect}`, async t => {
    const errorsOf = compile(experimental)
    for (const [name, promise] of Object.entries(promises)) {
      const file = join(FIXTURES, name)
      const found = errorsOf(file)
      if (name === 'counter.ts' && !experimental) {
        const kinds = new Set(found.map(({ error }) => error))
        t.same([...kinds], ['TS1206: Decorators are not valid here.'], promise)
      } else t.same(found, expectedErrors(file), promise)
    }
  })
}

t.test('every fixture is looked at', async t => {
  t.same(FILES.map(file => basename(file)).sort(), Object.keys(STANDARD_PROMISES).sort())
})

/** Compiles a fixture as a user's build would, and imports it. */
async function run<R>(
  dir: string,
  name: string,
  experimentalDecorators: boolean,
): Promise<(troupe: Troupe) => Promise<R>> {
  const module = (await import(pathToFileURL(join(dir, `${name}-${experimentalDecorators}.mjs`)).href)) as {
    use: (troupe: Troupe) => Promise<R>
  }
  return module.use
}

t.test('classes run as they compile: standard decorators, and none in either dialect', async t => {
  const sources: Record<string, string> = {}
  for (const [name, experimentalDecorators] of [
    ['standard-decorators', false],
    ['no-decorators', false],
    ['no-decorators', true],
  ] as const) {
    const text = readFileSync(join(FIXTURES, `${name}.ts`), 'utf8')
    const compilerOptions = {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      experimentalDecorators,
    }
    // a registered name is one class's in a process
    const named = text.replaceAll(/'plain-/g, `'${experimentalDecorators ? 'legacy' : 'standard'}-`)
    sources[`${name}-${experimentalDecorators}.mjs`] = ts.transpileModule(named, {
      compilerOptions,
    }).outputText
  }
  const dir = t.testdir(sources)
  const { troupe } = await stage(t)
  const greet = await run<[string, number]>(dir, 'standard-decorators', false)
  t.same(await greet(troupe), ['Hello, you, from /greeter', 42])
  for (const experimental of [false, true]) {
    const { troupe: own } = await stage(t)
    const add = await run<[number, number]>(dir, 'no-decorators', experimental)
    t.same(await add(own), [3, 5])
  }
})
