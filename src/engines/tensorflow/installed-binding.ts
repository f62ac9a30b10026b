import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Packages that bind TensorFlow's own library, in the order they are tried. */
export const BINDING_PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const

/** A package that is installed, with its native part or without. */
export interface InstalledBinding {
  readonly name: string
  readonly version: string
  /** Path of its package.json. */
  readonly manifest: string
  /** Its native part, if it is there. */
  readonly addon: string | undefined
}

/**
 * What npm has installed; nothing is loaded.
 *
 * @param require resolves from the place whose node_modules count
 */
export function installedBindings(require: NodeJS.Require): InstalledBinding[] {
  return BINDING_PACKAGES.flatMap(name => {
    let manifest: string
    try {
      manifest = require.resolve(`${name}/package.json`)
    } catch {
      return []
    }
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version?: string }
    return [{ name, version: version ?? '', manifest, addon: findAddon(manifest) }]
  })
}

/** Where the module is that a package asks for the path of its addon. */
export function resolvePreGyp(manifest: string): string | undefined {
  try {
    return createRequire(manifest).resolve('@mapbox/node-pre-gyp/lib/pre-binding.js')
  } catch {
    return undefined
  }
}

/**
 * Where the package would load its addon from. It asks node-pre-gyp, which takes 100 ms to load; a program that
 * keeps the addon elsewhere has replaced `find` there, so that answer counts when the module is loaded already.
 */
function findAddon(manifest: string): string | undefined {
  const preGyp = resolvePreGyp(manifest)
  const loaded =
    preGyp === undefined
      ? undefined
      : (createRequire(manifest).cache[preGyp]?.exports as
          { find?: (manifest: string) => string } | undefined)
  if (loaded?.find !== undefined) return loaded.find(manifest)
  const lib = join(dirname(manifest), 'lib')
  try {
    const folder = readdirSync(lib).find(name => name.startsWith('napi-v'))
    const addon = folder === undefined ? undefined : join(lib, folder, 'tfjs_binding.node')
    return addon !== undefined && existsSync(addon) ? addon : undefined
  } catch {
    return undefined
  }
}
