import type * as Tfjs from '@tensorflow/tfjs'
import { isBlockingOptimizer } from './blocking-optimizer.js'
import type { Logs } from './events.js'
import type { HostLink } from './host-link.js'
import type { TrainingSession } from './training-session.js'

type CallbackLogs = Record<string, unknown>

interface CallbackListMethods {
  setModel: (this: object, model: { readonly optimizer: unknown }) => void
  onEpochBegin: (this: object, epoch: number, logs?: CallbackLogs) => Promise<void>
  onBatchBegin: (this: object, batch: number, logs?: CallbackLogs) => Promise<void>
  onBatchEnd: (this: object, batch: number, logs?: CallbackLogs) => Promise<void>
  onEpochEnd: (this: object, epoch: number, logs?: CallbackLogs) => Promise<void>
}

export interface CallbackParts {
  readonly tf: typeof Tfjs
  readonly session: TrainingSession
  readonly link: HostLink
  readonly chief: boolean
}

/** Rows over all workers of the step whose callbacks come next. */
export interface StepRows {
  ofStep: number | undefined
}

/**
 * Lets callbacks of models that the job trains see what all workers did: the rows of a batch over all of them, and at
 * the end of an epoch its logs, which are told to the journal by whoever has one: the chief, or each for itself. Of steps that the journal has forgotten a replay
 * calls no batch callbacks, and gives epoch callbacks the logs that were kept.
 */
export function hookCallbacks({ tf, session, link, chief }: CallbackParts, rows: StepRows): void {
  const callbacks = tf.CallbackList.prototype as unknown as CallbackListMethods
  const { setModel, onEpochBegin, onBatchBegin, onBatchEnd, onEpochEnd } = callbacks
  /** Lists of models that the job trains, with the logs of their present epoch where its steps are forgotten. */
  const ours = new WeakMap<object, { kept: Logs | undefined }>()

  callbacks.setModel = function (model) {
    if (isBlockingOptimizer(model.optimizer)) ours.set(this, { kept: undefined })
    setModel.call(this, model)
  }
  callbacks.onEpochBegin = async function (epoch, logs) {
    const list = ours.get(this)
    if (list !== undefined) list.kept = session.keptEpoch(epoch)
    await onEpochBegin.call(this, epoch, logs)
  }
  callbacks.onBatchBegin = async function (batch, logs) {
    rows.ofStep = undefined
    if (!passedOver(this, session.steps)) await onBatchBegin.call(this, batch, logs)
  }
  callbacks.onBatchEnd = async function (batch, logs) {
    // Without it epoch means, and what steers by them, would differ between workers on an odd last batch.
    if (rows.ofStep !== undefined && logs !== undefined) {
      logs['size'] = rows.ofStep
      // Means are added up as numbers: as tensors they cost more than all else of a step that is replayed.
      if (ours.has(this)) readLogs(logs)
    }
    rows.ofStep = undefined
    if (!passedOver(this, session.steps - 1)) await onBatchEnd.call(this, batch, logs)
  }
  callbacks.onEpochEnd = async function (epoch, logs = {}) {
    const list = ours.get(this)
    if (list?.kept !== undefined) replace(tf, logs, list.kept)
    await onEpochEnd.call(this, epoch, logs)
    if ((chief || session.apart) && list !== undefined && !session.replaying) {
      link.tell({ tell: 'epoch', epoch, step: session.steps, logs: plainLogs(logs) })
    }
  }

  const passedOver = (list: object, step: number): boolean => {
    const known = ours.get(list)
    return known !== undefined && (known.kept !== undefined || session.forgot(step))
  }
}

/** Makes numbers of scalars, in place; the scalars are disposed. */
function readLogs(logs: CallbackLogs): void {
  for (const [name, value] of Object.entries(logs)) {
    if (!isTensor(value)) continue
    logs[name] = value.dataSync()[0]
    value.dispose()
  }
}

/** Puts the logs of then into those of now. */
function replace(tf: typeof Tfjs, logs: CallbackLogs, kept: Logs): void {
  for (const [name, value] of Object.entries(kept)) {
    const present = logs[name]
    if (present instanceof tf.Tensor) present.dispose()
    logs[name] = value
  }
}

function plainLogs(logs: Readonly<CallbackLogs>): Logs {
  const plain: Record<string, number> = {}
  for (const [name, value] of Object.entries(logs)) {
    if (typeof value === 'number') plain[name] = value
    else if (isTensor(value)) plain[name] = value.dataSync()[0]!
  }
  return plain
}

function isTensor(value: unknown): value is Tfjs.Tensor {
  return (
    typeof value === 'object' && value !== null && 'dataSync' in value && !(value as Tfjs.Tensor).isDisposed
  )
}
