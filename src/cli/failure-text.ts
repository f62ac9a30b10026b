import { errorFromInfo, errorInfo, REMEDIES, type ErrorInfo } from '../errors.js'

const KNOWN_REMEDIES: ReadonlySet<string> = new Set(Object.values(REMEDIES))
const REMEDY = '. Remedy: '

/**
 * An error as people read it: what happened, each cause on a line of its own, and in the end one remedy, that of the
 * innermost cause which has one. Those further out mostly say "see the cause".
 */
export function failureText(error: unknown): string {
  const lines: string[] = []
  let remedy: string | undefined
  for (let info: ErrorInfo | undefined = errorInfo(error); info !== undefined; info = info.cause) {
    lines.push(
      `${lines.length === 0 ? 'troupe: ' : '  caused by '}${info.code ?? info.name}: ${withoutRemedy(info.message)}`,
    )
    remedy = remedyOf(info) ?? remedy
  }
  if (remedy !== undefined) lines.push(`Remedy: ${remedy}`)
  return lines.join('\n')
}

function remedyOf(info: ErrorInfo): string | undefined {
  const error = errorFromInfo(info) as { remedy?: unknown }
  return typeof error.remedy === 'string' ? error.remedy : undefined
}

/** The message of an error that quotes another's may end in several remedies. */
function withoutRemedy(message: string): string {
  const at = message.lastIndexOf(REMEDY)
  if (at === -1 || !KNOWN_REMEDIES.has(message.slice(at + REMEDY.length))) return message
  return withoutRemedy(message.slice(0, at))
}
