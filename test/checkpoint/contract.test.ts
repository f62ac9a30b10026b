// The contract of places, kept by folders of this machine and by files on which nothing goes wrong yet.
import { join } from 'node:path'
import t from 'tap'
import { FaultyFiles, LocalFiles } from '../../src/checkpoint/index.js'
import { checkpointContract, raceContract } from '../helpers/checkpoint-contract.js'

let places = 0
const folder = t.testdir({})
const local = async (): Promise<LocalFiles> => new LocalFiles(join(folder, `place-${places++}`))

await checkpointContract(t, 'Local disk', local)
await raceContract(t, 'Local disk', local, 100)
await checkpointContract(
  t,
  'Files that may fail',
  async () => new FaultyFiles(await local(), () => undefined),
)
