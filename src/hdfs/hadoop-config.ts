import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, TroupeError } from '../errors.js'

/** Properties of Hadoop by name. */
export type HadoopConfig = ReadonlyMap<string, string>

/** Read in this order; the later counts. */
const FILES = ['core-site.xml', 'hdfs-site.xml'] as const

/** `${name}` in a value stands for another property; deeper than this they go in a circle. */
const MAX_SUBSTITUTIONS = 20

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/**
 * Reads `core-site.xml` and `hdfs-site.xml` as Hadoop does, as far as a client needs them.
 *
 * @param directory what `HADOOP_CONF_DIR` names; either file may be missing
 * @throws ERR_HDFS_CONFIG when a file cannot be read, or is not what Hadoop writes
 */
export function readHadoopConfig(directory: string): HadoopConfig {
  const properties = new Map<string, string>()
  let found = 0
  for (const name of FILES) {
    const file = join(directory, name)
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
      throw configError(file, 'cannot be read', error)
    }
    found++
    for (const [key, value] of parseHadoopXml(text, file)) properties.set(key, value)
  }
  if (found === 0) throw configError(directory, `has neither ${FILES.join(' nor ')}`)
  return new Map([...properties].map(([key, value]) => [key, substituted(value, properties)]))
}

/**
 * The properties of one file: `<configuration>` of `<property>` of `<name>`, `<value>` and others that are passed over.
 *
 * @param file its name, for errors
 * @throws ERR_HDFS_CONFIG
 */
export function parseHadoopXml(text: string, file: string): Map<string, string> {
  const plain = text
    .replace(/^\uFEFF/, '')
    .replace(/<!--[^]*?-->/g, '')
    .replace(/<\?[^]*?\?>/g, '')
  if (/<!DOCTYPE|<!ENTITY/i.test(plain)) throw configError(file, 'declares entities, which are not read')
  if (/<(?:xi:)?include\b/i.test(plain)) {
    throw configError(file, 'includes another file, which is not followed: put the properties into it')
  }
  const body = /^\s*<configuration\b[^>]*>([^]*)<\/configuration>\s*$/.exec(plain)?.[1]
  if (body === undefined) throw configError(file, 'has no <configuration> around its properties')
  const properties = new Map<string, string>()
  const rest = body.replace(/<property\b[^>]*>([^]*?)<\/property>/g, (_, inner: string) => {
    const name = element(inner, 'name')?.trim()
    // An empty value is one; a property without any is none.
    const value = element(inner, 'value')
    if (name === undefined || name === '')
      throw configError(file, `has a property without a name: ${describe(inner)}`)
    if (value !== undefined) properties.set(decoded(name), decoded(value.trim()))
    return ''
  })
  if (rest.trim() !== '') throw configError(file, `has ${describe(rest.trim())} where properties belong`)
  return properties
}

function element(text: string, name: string): string | undefined {
  if (new RegExp(`<${name}\\s*/>`).test(text)) return ''
  return new RegExp(`<${name}\\b[^>]*>([^]*?)</${name}>`).exec(text)?.[1]
}

function decoded(text: string): string {
  const cdata = /^<!\[CDATA\[([^]*)\]\]>$/.exec(text)?.[1]
  if (cdata !== undefined) return cdata
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (typeof hex === 'string') return String.fromCodePoint(parseInt(hex, 16))
    if (typeof decimal === 'string') return String.fromCodePoint(Number(decimal))
    return ENTITIES[String(name)] ?? whole
  })
}

function substituted(value: string, properties: HadoopConfig): string {
  let text = value
  for (let turns = 0; turns < MAX_SUBSTITUTIONS; turns++) {
    const next = text.replace(/\$\{([^{}$\s]+)\}/g, (whole, name: string) => properties.get(name) ?? whole)
    if (next === text) return text
    text = next
  }
  return text
}

function configError(file: string, what: string, cause?: unknown): TroupeError {
  return new TroupeError('ERR_HDFS_CONFIG', `${file} ${what}`, { data: { file }, cause })
}
