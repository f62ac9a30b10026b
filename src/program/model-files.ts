import type * as Tfjs from '@tensorflow/tfjs'
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, TroupeError } from '../errors.js'

type Artifacts = Tfjs.io.ModelArtifacts
type Handler = Tfjs.io.IOHandler
type ModelJson = Tfjs.io.ModelJSON

/** The file that makes a directory a saved model: it names the others. */
export const MODEL_FILE = 'model.json'

const WEIGHTS = /^weights\.[0-9a-f]{16}\.bin$/
/** Of a save that was cut short. */
const DRAFT = /^\.(weights\.[0-9a-f]{16}\.bin|model\.json)\.tmp$/
const SCHEME = 'file://'

/** Is this what `model.save('file://…')` takes? */
export function isFileUrl(url: unknown): url is string {
  return typeof url === 'string' && url.startsWith(SCHEME)
}

/**
 * Models in directories of this machine, in the format of tfjs-node: `model.json` and a file of weights.
 *
 * Saving replaces a model at once or not at all: the weights are written beside the old ones under a name of their own
 * (their hash), and `model.json`, which names them, is renamed into place last. The weights of the model before stay
 * until the next save, for who has just read the old `model.json`.
 *
 * @param url `file:///absolute/directory` or `file://relative/directory`; for loading, its `model.json`
 * @param beforeCommit called when all but the last rename is done
 */
export function modelFiles(
  tf: typeof Tfjs,
  url: string,
  beforeCommit: () => void = () => undefined,
): Handler {
  const path = directoryOf(url)
  return {
    save: async artifacts => {
      await saveModel(path, artifacts, beforeCommit)
      return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) }
    },
    load: async () => loadModel(path),
  }
}

function directoryOf(url: string): string {
  const path = url.startsWith(`${SCHEME}/`) ? fileURLToPath(url) : url.slice(SCHEME.length)
  if (path === '') {
    throw new TroupeError('ERR_MODEL_FILES', `a model needs file://DIRECTORY; got ${describe(url)}`)
  }
  return resolve(path)
}

async function saveModel(directory: string, artifacts: Artifacts, beforeCommit: () => void): Promise<void> {
  const { weightData, weightSpecs, ...described } = artifacts
  const weights = joined(weightData)
  const name = `weights.${createHash('sha256').update(weights).digest('hex').slice(0, 16)}.bin`
  const json = JSON.stringify({
    ...described,
    weightsManifest: [{ paths: [name], weights: weightSpecs ?? [] }],
  })
  try {
    await mkdir(directory, { recursive: true })
    const before = await namedWeights(join(directory, MODEL_FILE))
    await writeWhole(directory, name, weights, () => undefined)
    await writeWhole(directory, MODEL_FILE, Buffer.from(json), beforeCommit)
    for (const file of await readdir(directory)) {
      const left = WEIGHTS.test(file) && file !== name && !before.includes(file)
      if (left || DRAFT.test(file)) await unlink(join(directory, file))
    }
  } catch (cause) {
    if (cause instanceof TroupeError) throw cause
    throw new TroupeError('ERR_MODEL_FILES', `cannot save the model to ${directory}`, { cause })
  }
}

/** All of it under this name or nothing; to the disk, since a `model.json` must not outlive its weights. */
async function writeWhole(
  directory: string,
  name: string,
  bytes: Uint8Array,
  beforeRename: () => void,
): Promise<void> {
  const draft = join(directory, `.${name}.tmp`)
  const file = await open(draft, 'w')
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  beforeRename()
  await rename(draft, join(directory, name))
}

/** Files of weights that a saved model names; none if there is none. */
async function namedWeights(modelFile: string): Promise<string[]> {
  try {
    const { weightsManifest = [] } = JSON.parse(await readFile(modelFile, 'utf8')) as Partial<ModelJson>
    return weightsManifest.flatMap(({ paths }) => paths)
  } catch {
    return []
  }
}

async function loadModel(path: string): Promise<Artifacts> {
  const modelFile = path.endsWith('.json') ? path : join(path, MODEL_FILE)
  try {
    const { weightsManifest, ...described } = JSON.parse(await readFile(modelFile, 'utf8')) as ModelJson
    const files = weightsManifest.flatMap(({ paths }) => paths)
    const parts = await Promise.all(files.map(async file => readFile(join(dirname(modelFile), file))))
    const weights = Buffer.concat(parts)
    return {
      ...described,
      weightSpecs: weightsManifest.flatMap(({ weights: specs }) => specs),
      weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength),
    }
  } catch (cause) {
    throw new TroupeError('ERR_MODEL_FILES', `cannot load a model from ${modelFile}`, { cause })
  }
}

function joined(data: Artifacts['weightData']): Uint8Array {
  const parts = data === undefined ? [] : Array.isArray(data) ? data : [data]
  return Buffer.concat(parts.map(part => new Uint8Array(part)))
}
