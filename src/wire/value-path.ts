/** A step into a value: an index, a key, or what is reached by a call such as `.values()[2]`. */
export type PathStep = number | string | { readonly call: string; readonly key: unknown }

/** The steps as a person would write them: `args[0].user["first name"].get("k")`. */
export function formatPath(steps: readonly PathStep[]): string {
  return `args${steps.map(formatStep).join('')}`
}

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

function formatStep(step: PathStep): string {
  if (typeof step === 'number') return `[${step}]`
  if (typeof step === 'string') return IDENTIFIER.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  const { call, key } = step
  return call === 'get' ? `.get(${JSON.stringify(key)})` : `.${call}()[${String(key)}]`
}
