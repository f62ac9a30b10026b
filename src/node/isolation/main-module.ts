/** The module `name` in the folder of this one: source beside source, build beside build. */
export function besideThis(url: string, name: string): URL {
  return new URL(`./${name}${url.slice(url.lastIndexOf('.'))}`, url)
}
