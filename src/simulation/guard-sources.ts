import childProcess from 'node:child_process'
import crypto from 'node:crypto'
import fs from 'node:fs'
import timers from 'node:timers'
import timersPromises from 'node:timers/promises'

/** One function that a simulation must not call. */
export interface ImpureSource {
  readonly holder: object
  readonly key: string
  /** What a person calls it. */
  readonly name: string
}

function named(label: string, holder: object, keys: readonly string[]): ImpureSource[] {
  return keys
    .filter(key => typeof (holder as Record<string, unknown>)[key] === 'function')
    .map(key => ({ holder, key, name: label === '' ? key : `${label}.${key}` }))
}

/** Every function of a module but its classes. */
function functionsOf(label: string, holder: object): ImpureSource[] {
  return named(
    label,
    holder,
    Object.keys(holder).filter(key => /^[a-z]/.test(key)),
  )
}

// Node's types leave the global out unless the DOM's are loaded
const webAssembly = (globalThis as unknown as { WebAssembly: object }).WebAssembly

const RANDOM_OF_CRYPTO = [
  'randomBytes',
  'pseudoRandomBytes',
  'randomFill',
  'randomFillSync',
  'randomInt',
  'randomUUID',
  'getRandomValues',
  'generateKeySync',
  'generateKeyPairSync',
  'generatePrimeSync',
]

/**
 * The functions through which real time, randomness, timers and blocking I/O come in. Asynchronous I/O that is not
 * listed is caught by its resources instead. `Date` as a constructor is a case of its own, see the guard.
 */
export function impureSources(): ImpureSource[] {
  return [
    ...named('Date', Date, ['now']),
    ...named('Math', Math, ['random']),
    ...named('performance', performance, ['now']),
    // before process.hrtime, whose replacement copies what it carries
    ...named('process.hrtime', process.hrtime, ['bigint']),
    ...named('process', process, ['hrtime', 'uptime', 'cpuUsage']),
    ...named('', globalThis, ['setTimeout', 'setInterval', 'setImmediate']),
    ...named('timers', timers, ['setTimeout', 'setInterval', 'setImmediate']),
    ...named('timers/promises', timersPromises, ['setTimeout', 'setInterval', 'setImmediate']),
    ...named('timers/promises.scheduler', timersPromises.scheduler, ['wait', 'yield']),
    ...named('AbortSignal', AbortSignal, ['timeout']),
    ...named('Atomics', Atomics, ['wait', 'waitAsync']),
    ...named('WebAssembly', webAssembly, ['compile', 'instantiate']),
    ...named('crypto', crypto, RANDOM_OF_CRYPTO),
    ...named('crypto', Object.getPrototypeOf(globalThis.crypto) as object, ['getRandomValues', 'randomUUID']),
    ...functionsOf('fs', fs),
    ...functionsOf('fs.promises', fs.promises),
    ...functionsOf('child_process', childProcess),
  ]
}
