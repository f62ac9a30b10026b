import type * as Tfjs from '@tensorflow/tfjs'
import { isBlockingOptimizer } from './blocking-optimizer.js'
import type { JobLog } from './job-context.js'
import { isFileUrl, modelFiles } from './model-files.js'
import type { OnceJournal } from './once-journal.js'
import type { TrainingSession } from './training-session.js'

type SaveConfig = Tfjs.io.SaveConfig

interface ModelMethods {
  save: (
    this: { readonly optimizer: unknown },
    target: Tfjs.io.IOHandler | string,
    config?: SaveConfig,
  ) => Promise<Tfjs.io.SaveResult>
  summary: (
    this: object,
    lineLength?: number,
    positions?: number[],
    printFn?: (message?: unknown, ...rest: unknown[]) => void,
  ) => void
}

/** A save as the journal has it. What a server answered stays with the chief. */
interface Saved {
  readonly info: Omit<Tfjs.io.ModelArtifactsInfo, 'dateSaved'>
  readonly savedAtMs: number
  readonly errors: readonly unknown[]
}

/**
 * Lets `model.save` happen once in the job: the chief saves, everyone gets the result, and a program that replays saves
 * nothing again. `file://` works without tfjs-node, and replaces a model at once or not at all. A `summary` with a
 * printer of its own is silent in a replay, as the console is.
 */
export function hookSaving(tf: typeof Tfjs, session: TrainingSession, onces: OnceJournal, log: JobLog): void {
  const models = tf.LayersModel.prototype as unknown as ModelMethods
  const { save, summary } = models

  models.save = async function (target, config) {
    const saved = await onces.once({
      name: 'save',
      run: async () => {
        const handler = isFileUrl(target) ? modelFiles(tf, target, () => session.faultPoint('save')) : target
        if (handler === target) session.faultPoint('save')
        return plainResult(await save.call(this, handler, savable(config, this.optimizer, log)))
      },
    })
    return {
      modelArtifactsInfo: { ...saved.info, dateSaved: new Date(saved.savedAtMs) },
      ...(saved.errors.length === 0 ? {} : { errors: saved.errors as (object | string)[] }),
    }
  }

  models.summary = function (lineLength, positions, printFn) {
    if (!session.replaying) summary.call(this, lineLength, positions, printFn)
  }

  if (tf.io.getLoadHandlers('file://model.json').length === 0) {
    tf.io.registerLoadRouter(url => (isFileUrl(url) ? modelFiles(tf, url) : null!))
  }
}

/** The state of an optimizer of the job lies on the parameter servers, and is saved by their checkpoints. */
function savable(config: SaveConfig | undefined, optimizer: unknown, log: JobLog): SaveConfig | undefined {
  if (config?.includeOptimizer !== true || !isBlockingOptimizer(optimizer)) return config
  log.warn("model.save leaves the optimizer's state out: the job's checkpoints have it")
  return { ...config, includeOptimizer: false }
}

function plainResult({ modelArtifactsInfo, errors = [] }: Tfjs.io.SaveResult): Saved {
  const { dateSaved, ...info } = modelArtifactsInfo
  return { info, savedAtMs: dateSaved.getTime(), errors }
}
