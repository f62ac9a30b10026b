// What is most apt to differ between versions of Node is how threads load TypeScript: actors and jobs do so in each.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'

t.setTimeout(600_000)

const ROOT = resolve(import.meta.dirname, '..')
const CLI = 'dist/src/cli/main.js'

/** Beside the version that the tests run on. `.ci/fetch-nodes` has the exact ones. */
const MAJORS = [22, 24]

function binary(major: number): string {
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  return join(ROOT, `.ci/nodes/node_modules/node-${major}/bin`, name)
}

/** What it prints; what it says on stderr is a failure. */
async function output(major: number, ...args: string[]): Promise<string> {
  // the loaders and the coverage of this process belong to its own version
  const { NODE_OPTIONS: _loaders, NODE_V8_COVERAGE: _coverage, ...env } = process.env
  return new Promise((done, failed) => {
    execFile(binary(major), args, { cwd: ROOT, env, timeout: 90_000 }, (error, stdout, stderr) => {
      if (error !== null || stderr !== '') failed(new Error(`${args.join(' ')}: ${stderr}`, { cause: error }))
      else done(stdout)
    })
  })
}

interface Done {
  readonly event: string
  readonly weightsSha256: string
}

async function trained(major: number, ...args: string[]): Promise<Done> {
  const job = ['test/fixtures/jobs/smoke.ts', '--backend', 'wasm']
  const lines = await output(major, CLI, 'run', ...job, '--json', ...args)
  const [last = ''] = lines.trimEnd().split('\n').reverse()
  return JSON.parse(last) as Done
}

for (const major of MAJORS) {
  const skip = existsSync(binary(major)) ? false : 'enable with: .ci/fetch-nodes'
  void t.test(`Node ${major}: an actor in TypeScript runs in a thread`, { skip }, async t => {
    const said = new RegExp(`^v${major}\\.\\d+\\.\\d+ actor\\.ts 42\\n$`)
    const main = ['--import', 'tsx', 'test/fixtures/smoke/thread.ts']
    t.match(await output(major, '--conditions=troupe-source', ...main), said, 'from source')
    t.match(await output(major, ...main), said, 'on the build')
  })

  void t.test(
    `Node ${major}: a job in TypeScript trains on the build, a killed worker included`,
    { skip },
    async t => {
      const [clean, killed] = await Promise.all([trained(major), trained(major, '--kill', 'worker-1@3')])
      t.match(killed, { event: 'done', steps: 8, restarts: 1, exact: true, exactNote: null })
      t.equal(killed.weightsSha256, clean.weightsSha256)
    },
  )
}
