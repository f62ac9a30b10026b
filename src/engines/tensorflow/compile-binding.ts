import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'
import process from 'node:process'
import { TroupeError } from '../../errors.js'
import { answers, findProgram, runProgram } from '../program.js'
import { copyPackage } from './npm-package.js'
import { MODULE_LINE, QUIET_LOG_SOURCE, QUIET_MODULE } from './quiet-log.js'
import { BINDING_VERSION, LIBRARIES, NODE_API_ARCHIVE } from './release.js'

/** Compilers by the names under which they are installed, if `CXX` names none. */
const COMPILERS = ['g++', 'clang++', 'c++'] as const

/**
 * The binding keeps the names of attributes in one set, which all threads of a process would change at once. Each thread
 * gets its own; it is never freed, since names in it are handed to TensorFlow.
 */
const SHARED_SET = 'static std::set<std::string> ATTR_NAME_SET;'
const SET_PER_THREAD =
  'static thread_local std::set<std::string> &ATTR_NAME_SET = *new std::set<std::string>();'

/** The compiler to use, if there is one. */
export async function findCompiler(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  const own = env['CXX']
  for (const compiler of own === undefined || own === '' ? COMPILERS : [own]) {
    const path = isAbsolute(compiler) ? compiler : await findProgram(compiler)
    if (path !== undefined && (await answers(path, ['--version']))) return path
  }
  return undefined
}

export interface BindingSources {
  readonly compiler: string
  /** The npm package's directory, which has the sources. */
  readonly bindingPackage: string
  /** TensorFlow's headers. */
  readonly include: string
  /** Below which temporary files may lie. */
  readonly scratch: string
  readonly require: NodeJS.Require
}

/**
 * Compiles the binding, to be loaded from beside the libraries.
 *
 * @throws ERR_ENGINE_PROGRAM with the compiler's last words
 */
export async function compileBinding(
  sources: BindingSources,
  addon: string,
  signal?: AbortSignal,
): Promise<void> {
  const { compiler, bindingPackage, include, scratch } = sources
  const options = signal === undefined ? {} : { signal }
  const src = join(scratch, 'binding')
  await cp(join(bindingPackage, 'binding'), src, { recursive: true })
  const backend = join(src, 'tfjs_backend.cc')
  const binding = join(src, 'tfjs_binding.cc')
  await change(backend, SHARED_SET, SET_PER_THREAD)
  await change(binding, MODULE_LINE, QUIET_MODULE)
  const quiet = join(src, 'quiet_log.cc')
  await writeFile(quiet, QUIET_LOG_SOURCE)
  const nodeApi = await nodeApiHeaders(sources, signal)
  await mkdir(dirname(addon), { recursive: true })
  const compile = (args: readonly string[]) => runProgram(compiler, args, options)
  // Linked against empty libraries of the same names, since the linker would read 800 MB to learn nothing.
  const stubs = Object.keys(LIBRARIES).map(name => ({ name, file: join(scratch, name) }))
  for (const { name, file } of stubs) {
    await compile([
      ...['-shared', '-fPIC', '-nostdlib', '-x', 'c++', '/dev/null'],
      ...[`-Wl,-soname,${name}`, '-o', file],
    ])
  }
  await compile([
    ...['-O2', '-std=c++17', '-fPIC', '-shared', '-DNAPI_VERSION=8', `-I${nodeApi}`, `-I${include}`],
    ...[backend, binding, quiet, '-Wl,--no-as-needed', ...stubs.map(({ file }) => file)],
    // Node unloads an addon with the last thread that had it; TensorFlow's own threads would run on without their code.
    ...['-Wl,-z,nodelete', '-Wl,-rpath,$ORIGIN', '-s', '-o', addon],
  ])
}

/** Replaces a part of a source, which is there: the package's version is pinned. */
async function change(path: string, part: string, by: string): Promise<void> {
  const code = await readFile(path, 'utf8')
  if (!code.includes(part)) {
    throw new TroupeError(
      'ERR_ENGINE_INSTALL',
      `${path} is not of the binding ${BINDING_VERSION}: it has no ${part}`,
    )
  }
  await writeFile(path, code.replace(part, by))
}

/** Node's own, or those of the npm package: the interface is the same for all versions of Node. */
async function nodeApiHeaders({ scratch, require }: BindingSources, signal?: AbortSignal): Promise<string> {
  const own = join(dirname(process.execPath), '../include/node')
  if ((await stat(join(own, 'node_api.h')).catch(() => undefined)) !== undefined) return own
  const dir = join(scratch, 'node-api-headers')
  await copyPackage(NODE_API_ARCHIVE, dir, scratch, require, signal)
  return join(dir, 'include')
}

/** Packages are looked for from Troupe's own place. */
export const ownRequire: NodeJS.Require = createRequire(import.meta.url)
