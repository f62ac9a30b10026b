/** A token for the container: a symbol that remembers the type it stands for. */
export type Token<T> = symbol & { readonly provides?: T }

/** Makes a token. Equal names give the same token, also when this module is loaded twice. */
export function token<T>(name: string): Token<T> {
  return Symbol.for(`troupe.${name}`)
}
