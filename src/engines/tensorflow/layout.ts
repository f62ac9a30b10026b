import { join } from 'node:path'
import { BINDING_PACKAGE } from './release.js'

/** Where things are in the directory of an installed TensorFlow. */
export const layout = {
  libraries: (dir: string): string => join(dir, 'tensorflow'),
  addon: (dir: string): string => join(dir, 'tensorflow', 'tfjs_binding.node'),
  /** A copy of the npm package, for programs that have none. */
  bindingPackage: (dir: string): string => join(dir, 'node_modules', BINDING_PACKAGE),
  nodeModules: (dir: string): string => join(dir, 'node_modules'),
}
