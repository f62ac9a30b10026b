import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BINDING_VERSION } from './release.js'

/** Where a thread puts its tfjs before it loads the binding from the cache. */
export const TFJS_KEY = 'troupe.tfjs'

/**
 * Two packages that the binding requires, as one file each. `@tensorflow/tfjs` is whatever copy the thread has put into
 * place: kernels register with the copy that programs import. `@mapbox/node-pre-gyp` only finds the addon.
 */
const STAND_INS = {
  '@tensorflow/tfjs': `module.exports = globalThis[Symbol.for(${JSON.stringify(TFJS_KEY)})]\n`,
  '@mapbox/node-pre-gyp': `exports.find = () => require('node:path').join(__dirname, '../../../tensorflow/tfjs_binding.node')\n`,
} as const

export async function writeStandIns(nodeModules: string): Promise<void> {
  for (const [name, code] of Object.entries(STAND_INS)) {
    const dir = join(nodeModules, name)
    await mkdir(dir, { recursive: true })
    const manifest = { name, version: BINDING_VERSION, main: 'index.js' }
    await writeFile(join(dir, 'package.json'), `${JSON.stringify(manifest)}\n`)
    await writeFile(join(dir, 'index.js'), code)
  }
}
