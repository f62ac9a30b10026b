// A whole job whose checkpoints lie in a real HDFS, written and read by servers in threads, also after their death.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { parseKill } from 'troupe'
import { needHdfs, startHdfs } from '../helpers/engines.js'
import { runRugged } from '../helpers/job-run.js'

t.setTimeout(600_000)
const { skip } = await needHdfs()
const ARGS = { rows: 970, epochs: 1 }

void t.test(
  'A job on HDFS: a server dies, its successor reads there; the weights are those of a calm run',
  { skip },
  async t => {
    const trial = await startHdfs(t)
    const url = `${trial.url.replace('http', 'webhdfs')}/jobs/rugged`
    const calm = await runRugged({ args: ARGS })
    const run = await runRugged({
      args: ARGS,
      checkpoints: { directory: url, everySteps: 8 },
      kills: [parseKill('ps-0@20')],
      serverIsolation: 'thread',
    })
    t.equal(run.done?.weightsSha256, calm.done?.weightsSha256)
    t.ok(run.restored.length > 0, `${run.restored.length} times restored`)
    const cli = [
      '--import',
      'tsx',
      '--conditions=troupe-source',
      'src/cli/main.ts',
      'checkpoints',
      url,
      '--verify',
    ]
    const { stdout } = await promisify(execFile)(process.execPath, cli)
    t.match(stdout, /verified; a resumed job begins here/)
  },
)
