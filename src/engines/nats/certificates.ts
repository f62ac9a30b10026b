import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireProgram, runProgram } from '../program.js'

/** Paths of PEM files. */
export interface Certificates {
  /** The authority that both sides trust. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
const DAYS = '3650'

/**
 * Makes an authority and one certificate of it, for servers and clients on this machine: `127.0.0.1` and `localhost`. For
 * tests: the authority's key is thrown away.
 */
export async function makeCertificates(dir: string): Promise<Certificates> {
  await mkdir(dir, { recursive: true })
  const openssl = await requireProgram('openssl')
  const run = (...args: string[]): Promise<string> => runProgram(openssl, args, { cwd: dir })
  const constraints = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
  const extensions = constraints.flatMap(constraint => ['-addext', constraint])
  const authority = ['-keyout', 'ca-key.pem', '-out', 'ca.pem', '-subj', '/CN=Troupe test authority']
  await run('req', '-x509', ...KEY, '-days', DAYS, ...authority, ...extensions)
  await run('req', ...KEY, '-keyout', 'key.pem', '-out', 'request.pem', '-subj', '/CN=localhost')
  await writeFile(
    join(dir, 'extensions'),
    [
      'subjectAltName=IP:127.0.0.1,DNS:localhost',
      'extendedKeyUsage=serverAuth,clientAuth',
      'basicConstraints=CA:FALSE',
      'keyUsage=digitalSignature',
      '',
    ].join('\n'),
  )
  const signing = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-extfile', 'extensions']
  await run('x509', '-req', '-in', 'request.pem', ...signing, '-days', DAYS, '-out', 'cert.pem')
  for (const name of ['ca-key.pem', 'ca.srl', 'request.pem', 'extensions']) await rm(join(dir, name))
  return { ca: join(dir, 'ca.pem'), cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') }
}
