/** The folder of an absolute path; that of the root is the root. */
export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}

/** The last name of an absolute path; empty for the root. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** @param name a name, or a relative path; empty: the folder itself */
export function childPath(folder: string, name: string): string {
  if (name === '') return folder
  return folder === '/' ? `/${name}` : `${folder}/${name}`
}
