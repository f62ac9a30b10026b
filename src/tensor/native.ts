import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Packages that bring TensorFlow's own library, in the order they are tried. */
export const NATIVE_PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const

/** What was found: something to load, or why there is nothing. */
export type NativeProbe =
  | { readonly found: true; readonly packageName: string; readonly tensorflow: string }
  | { readonly found: false; readonly why: string }

/**
 * Looks for an installed native TensorFlow that loads. The package itself is required only when its addon has
 * loaded: it registers hundreds of kernels before it looks for the addon, and leaves them behind when it fails.
 *
 * @param require resolves from the place whose node_modules count
 */
export function probeNative(require: NodeJS.Require = createRequire(import.meta.url)): NativeProbe {
  const reasons: string[] = []
  for (const packageName of NATIVE_PACKAGES) {
    const probe = probePackage(packageName, require)
    if (probe.found) return probe
    if (probe.why !== '') reasons.push(probe.why)
  }
  if (reasons.length > 0) return { found: false, why: reasons.join('; ') }
  return { found: false, why: `neither ${NATIVE_PACKAGES.join(' nor ')} is installed` }
}

function probePackage(packageName: string, require: NodeJS.Require): NativeProbe {
  const short = packageName.replace('@tensorflow/', '')
  let manifest: string
  try {
    manifest = require.resolve(`${packageName}/package.json`)
  } catch {
    return { found: false, why: '' }
  }
  const addon = findAddon(manifest)
  if (addon === undefined) {
    const expected = join(dirname(manifest), 'lib')
    return {
      found: false,
      why: `${short} is installed but its native library is not: nothing in ${expected}`,
    }
  }
  try {
    const binding = require(addon) as { TF_Version?: unknown }
    require(packageName)
    return { found: true, packageName, tensorflow: String(binding.TF_Version) }
  } catch (error) {
    const message = (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
    return { found: false, why: `${short} is installed but its native library does not load: ${message}` }
  }
}

/**
 * Where the package would load its addon from. It asks node-pre-gyp, which takes 100 ms to load; a program that
 * keeps the addon elsewhere has replaced `find` there, so that answer counts when the module is loaded already.
 */
function findAddon(manifest: string): string | undefined {
  const fromPackage = createRequire(manifest)
  try {
    const preGyp = fromPackage.resolve('@mapbox/node-pre-gyp/lib/pre-binding.js')
    const loaded = fromPackage.cache[preGyp]?.exports as { find?: (manifest: string) => string } | undefined
    if (loaded?.find !== undefined) return loaded.find(manifest)
  } catch {
    // No node-pre-gyp: then the package cannot find its addon either, and loading it says so.
  }
  const lib = join(dirname(manifest), 'lib')
  try {
    const folder = readdirSync(lib).find(name => name.startsWith('napi-v'))
    return folder === undefined ? undefined : join(lib, folder, 'tfjs_binding.node')
  } catch {
    return undefined
  }
}
