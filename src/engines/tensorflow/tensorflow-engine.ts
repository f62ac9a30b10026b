import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { SystemClock } from '../../determinism/index.js'
import { TroupeError } from '../../errors.js'
import { EngineCache } from '../engine-cache.js'
import type { Check, Engine, EngineSource, ExamineOptions, FoundEngine, InstallOptions } from '../engine.js'
import { findProgram, runProgram } from '../program.js'
import { compileBinding, findCompiler, ownRequire } from './compile-binding.js'
import { examineTensorFlow } from './examine.js'
import { installedBindings } from './installed-binding.js'
import { layout } from './layout.js'
import { copyPackage } from './npm-package.js'
import { BINDING_ARCHIVE, LIBRARIES, PROTOBUF_ARCHIVE, TENSORFLOW_VERSION, WHEEL } from './release.js'
import { writeStandIns } from './stand-ins.js'
import { downloadWheel, findPip, unpackWheel } from './wheel.js'

const PLATFORM = 'linux-x64'

/** Prints what version of TensorFlow an addon has been loaded with. */
const VERSION_SCRIPT = 'process.stdout.write(String(require(process.argv[1]).TF_Version))'

/**
 * TensorFlow's own libraries, and the binding of `@tensorflow/tfjs-node-gpu` compiled for them. The libraries that the
 * package itself would download are of 2022, from a place that many networks block.
 */
export class TensorFlowEngine implements Engine {
  readonly name = 'tensorflow'
  readonly title = 'TensorFlow'
  readonly version = TENSORFLOW_VERSION
  readonly #cache: EngineCache
  readonly #require: NodeJS.Require

  /** @param require resolves from the place whose node_modules count */
  constructor(cache: EngineCache = new EngineCache(new SystemClock()), require: NodeJS.Require = ownRequire) {
    this.#cache = cache
    this.#require = require
  }

  async sources(): Promise<readonly EngineSource[]> {
    const pip = await findPip()
    const compiler = await findCompiler()
    const unusable = [
      ...(`${process.platform}-${process.arch}` === PLATFORM ? [] : [platformText()]),
      ...('why' in pip ? [pip.why] : []),
      ...(compiler === undefined ? [NO_COMPILER] : []),
    ]
    const { downloadBytes, diskBytes } = WHEEL
    return [
      {
        name: `wheel ${WHEEL.name} by pip`,
        downloadBytes,
        diskBytes,
        ...(unusable.length === 0 ? {} : { unusable: unusable.join('; ') }),
      },
    ]
  }

  async find(): Promise<FoundEngine | undefined> {
    for (const { name, version, addon } of installedBindings(this.#require)) {
      if (addon !== undefined) return { version: `${name} ${version}`, path: addon, by: 'node_modules' }
    }
    const cached = await this.#cache.find(this)
    if (cached === undefined) return undefined
    return { version: cached.version, path: layout.addon(cached.dir), by: 'cache' }
  }

  async install(into: string, options: InstallOptions): Promise<string> {
    const { from, report, signal } = options
    if (`${process.platform}-${process.arch}` !== PLATFORM) {
      throw new TroupeError('ERR_ENGINE_PLATFORM', platformText())
    }
    const compiler = await findCompiler()
    if (compiler === undefined) throw new TroupeError('ERR_ENGINE_INSTALL', NO_COMPILER)
    const scratch = join(into, 'scratch')
    const wheel = from ?? (await this.#fetchWheel(scratch, options))

    report({ doing: 'unpacking the libraries' })
    const include = join(scratch, 'include')
    await unpackWheel(wheel, layout.libraries(into), include)
    if (from === undefined) await rm(wheel)
    signal?.throwIfAborted()
    report({ doing: 'stripping symbols' })
    await strip(layout.libraries(into), signal)

    report({ doing: 'compiling the binding' })
    const bindingPackage = layout.bindingPackage(into)
    await copyPackage(BINDING_ARCHIVE, bindingPackage, scratch, this.#require, signal)
    await copyPackage(PROTOBUF_ARCHIVE, join(layout.nodeModules(into), PROTOBUF_ARCHIVE.name), scratch, this.#require, signal) // prettier-ignore
    await writeStandIns(layout.nodeModules(into))
    await compileBinding(
      { compiler, bindingPackage, include, scratch, require: this.#require },
      layout.addon(into),
      signal,
    )
    await rm(scratch, { recursive: true })
    return from ?? `wheel ${WHEEL.name} by pip`
  }

  async #fetchWheel(scratch: string, options: InstallOptions): Promise<string> {
    const pip = await findPip()
    if ('python' in pip) return downloadWheel(pip.python, scratch, options)
    throw new TroupeError(
      'ERR_ENGINE_INSTALL',
      `${pip.why}: TensorFlow's libraries come from the Python wheel ${WHEEL.name} ${TENSORFLOW_VERSION}`,
    )
  }

  /** In a process of its own, with every symbol looked up at once: what is missing shows now, not in the first step. */
  async verify(dir: string, signal?: AbortSignal): Promise<void> {
    const version = await runProgram(process.execPath, ['-e', VERSION_SCRIPT, layout.addon(dir)], {
      env: { LD_BIND_NOW: '1', NODE_OPTIONS: '' },
      ...(signal === undefined ? {} : { signal }),
    }).catch((cause: unknown) => {
      signal?.throwIfAborted()
      throw new TroupeError('ERR_ENGINE_BROKEN', 'the binding of TensorFlow does not load', { cause })
    })
    if (version === TENSORFLOW_VERSION) return
    throw new TroupeError(
      'ERR_ENGINE_BROKEN',
      `the binding says it is of TensorFlow ${version}; it should be ${TENSORFLOW_VERSION}`,
    )
  }

  async examine({ signal }: ExamineOptions): Promise<readonly Check[]> {
    return examineTensorFlow(await this.find(), signal)
  }
}

const NO_COMPILER =
  'no C++ compiler is installed, which compiles the binding: on Debian and Ubuntu, apt-get install g++; or name one in CXX'

function platformText(): string {
  return `TensorFlow's libraries are for ${PLATFORM}; this is ${process.platform}-${process.arch}`
}

/** Symbols that only debuggers read are a quarter of the libraries. A machine without `strip` keeps them. */
async function strip(libraries: string, signal?: AbortSignal): Promise<void> {
  const files = Object.keys(LIBRARIES).map(name => join(libraries, name))
  const program = await findProgram('strip')
  if (program !== undefined) await runProgram(program, files, signal === undefined ? {} : { signal })
}
