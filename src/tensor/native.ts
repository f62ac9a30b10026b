import type * as Tfjs from '@tensorflow/tfjs'
import { createRequire } from 'node:module'
import process from 'node:process'
import util from 'node:util'
import { SystemClock } from '../determinism/index.js'
import { EngineCache } from '../engines/engine-cache.js'
import {
  BINDING_PACKAGES,
  installedBindings,
  resolvePreGyp,
  type InstalledBinding,
} from '../engines/tensorflow/installed-binding.js'
import { layout } from '../engines/tensorflow/layout.js'
import { BINDING_PACKAGE, BINDING_VERSION, TENSORFLOW_VERSION } from '../engines/tensorflow/release.js'
import { TFJS_KEY } from '../engines/tensorflow/stand-ins.js'

/** How people get what is missing. */
const HINT = 'troupe provision tensorflow installs it'

/** Functions that the package calls went with Node 23. */
const PACKAGE_RUNS = 'isNullOrUndefined' in util

/** What was loaded, or why there is nothing to load. */
export type NativeProbe =
  | {
      readonly found: true
      /** As people know it: a package, or the cache. */
      readonly from: string
      /** Version of the library. */
      readonly tensorflow: string
    }
  | { readonly found: false; readonly why: string }

export interface NativePlaces {
  /** Resolves from the place whose node_modules count. @default Troupe's own */
  readonly require?: NodeJS.Require
  /** @default the user's cache */
  readonly cache?: EngineCache
}

/**
 * Loads native TensorFlow into this thread: the binding of an installed package, else the one in the cache. A package is
 * required only when its addon has loaded: it registers hundreds of kernels before it looks for the addon, and leaves
 * them behind when it fails.
 *
 * @param tf the copy of tfjs that programs import; a package brings its own, which may be another
 */
export async function loadNative(tf: typeof Tfjs, places: NativePlaces = {}): Promise<NativeProbe> {
  const { require = createRequire(import.meta.url), cache = new EngineCache(new SystemClock()) } = places
  if (!PACKAGE_RUNS)
    return { found: false, why: `${BINDING_PACKAGE} does not run on Node ${process.version}` }
  const reasons: string[] = []
  const installed = installedBindings(require)
  for (const { name, addon } of installed) {
    const short = name.replace('@tensorflow/', '')
    if (addon === undefined) reasons.push(`${short} is installed without its native library`)
    else {
      const loaded = load(addon, () => require(name) as unknown)
      if (typeof loaded !== 'string') return { found: true, from: name, ...loaded }
      reasons.push(`the native library of ${short} does not load: ${loaded}`)
    }
  }
  if (installed.length === 0) reasons.push(`neither ${BINDING_PACKAGES.join(' nor ')} is installed`)

  const cached = await cache.find({ name: 'tensorflow', version: TENSORFLOW_VERSION })
  if (cached === undefined) return { found: false, why: `${reasons.join('; ')}; ${HINT}` }
  const same = installed.find(({ name, version }) => name === BINDING_PACKAGE && version === BINDING_VERSION)
  const loaded = load(layout.addon(cached.dir), () =>
    same === undefined ? requireCopy(cached.dir, tf) : requireInstalled(same, layout.addon(cached.dir)),
  )
  if (typeof loaded !== 'string') return { found: true, from: 'the cache', ...loaded }
  return { found: false, why: `TensorFlow in ${cached.dir} does not load: ${loaded}` }
}

/** Its version, or why it cannot be. */
function load(addon: string, requirePackage: () => unknown): { readonly tensorflow: string } | string {
  try {
    const binding = createRequire(import.meta.url)(addon) as { TF_Version?: unknown }
    requirePackage()
    return { tensorflow: String(binding.TF_Version) }
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
  }
}

/** The installed package, so that programs which import it get what is loaded; told where the addon is. */
function requireInstalled({ manifest }: InstalledBinding, addon: string): unknown {
  const fromPackage = createRequire(manifest)
  const preGyp = resolvePreGyp(manifest)
  if (preGyp !== undefined) {
    const module = fromPackage(preGyp) as { find: (manifest: string, options?: unknown) => string }
    const { find } = module
    module.find = (asked, options) => (asked === manifest ? addon : find(asked, options))
  }
  return fromPackage('.')
}

/** The copy in the cache; what it requires as tfjs is the one given. */
function requireCopy(dir: string, tf: typeof Tfjs): unknown {
  Object.assign(globalThis, { [Symbol.for(TFJS_KEY)]: tf })
  return createRequire(layout.bindingPackage(dir))(layout.bindingPackage(dir))
}
