import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file of this package that is no JavaScript, wherever the package is installed. */
export function packageFile(...path: string[]): string {
  return join(dirname(fileURLToPath(import.meta.resolve('troupe/package.json'))), ...path)
}
