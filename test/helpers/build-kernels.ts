// `npm run build:kernels`: compiles the AssemblyScript of the kernels and writes the bytes as a module of the source,
// so that source, build and published package all find them in the same way. A test compiles it again and compares.

import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MAX_PAGES } from '../../src/training/kernels/web-assembly.js'

const SOURCES = 'src/training/kernels/assembly'
const MODULE = 'src/training/kernels/simd-binary.ts'

/** No `--noAssert` or fast-math liberties with floats are taken: `-O3` changes no rounding. */
const OPTIONS = [
  'index.ts',
  `--baseDir=${SOURCES}`,
  '--optimizeLevel=3',
  '--noAssert',
  '--runtime=stub',
  '--enable=simd',
  '--enable=threads',
  '--importMemory',
  '--sharedMemory',
  '--initialMemory=1',
  `--maximumMemory=${MAX_PAGES}`,
  '--outFile=kernels.wasm',
]

/** What is used of the compiler. Its own types would declare AssemblyScript's globals for the whole project. */
interface Compiler {
  createMemoryStream(): { toString(): string }
  main(
    options: readonly string[],
    api: {
      readonly stderr: unknown
      readonly readFile: (name: string, base: string) => string | null
      readonly writeFile: (name: string, contents: string | Uint8Array) => void
      readonly listFiles: () => string[]
    },
  ): Promise<{ readonly error: Error | null }>
}

/** A name that the type checker does not follow. */
const COMPILER: string = 'assemblyscript/asc'

/**
 * Compiles the kernels.
 *
 * @param root the repository
 * @returns the bytes of the WebAssembly module
 */
export async function compileKernels(root: string): Promise<Uint8Array> {
  const { default: asc } = (await import(COMPILER)) as { readonly default: Compiler }
  let binary: Uint8Array | undefined
  const stderr = asc.createMemoryStream()
  const { error } = await asc.main(OPTIONS, {
    stderr,
    readFile: (name, base) => readText(resolve(root, base, name)),
    writeFile: (_, contents) => {
      if (typeof contents !== 'string') binary = contents
    },
    listFiles: () => [],
  })
  if (error !== null || binary === undefined) {
    throw new Error(`the kernels do not compile: ${stderr.toString()}`, { cause: error })
  }
  return binary
}

/** asc asks for files that may not be there. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function moduleText(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,100}/g) ?? []
  const literal = lines.map(line => `  '${line}'`).join(' +\n')
  return (
    '// Written by `npm run build:kernels` from assembly/ beside it: do not edit.\n\n' +
    `/** The SIMD kernels as a WebAssembly module of ${bytes.length} bytes, in base64. */\n` +
    `export const SIMD_KERNELS =\n${literal}\n`
  )
}

const [, script] = process.argv
if (script !== undefined && import.meta.url === pathToFileURL(script).href) {
  const root = process.cwd()
  const bytes = await compileKernels(root)
  await writeFile(join(root, MODULE), moduleText(bytes))
  process.stdout.write(`${MODULE}: ${bytes.length} bytes\n`)
}
