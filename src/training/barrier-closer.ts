import { TroupeError } from '../errors.js'
import type { BlockSums } from './gradient-norm.js'
import type { AcceptedPush } from './push-desk.js'
import { reduceOutputs } from './reduction.js'
import type { ShardCore } from './shard-core.js'
import type { PartShare } from './shard-model.js'
import type { UpdatePushes } from './shard-update.js'
import type { StepCloser } from './step-closer.js'

/** A step for which every rank has pushed. */
interface FullStep {
  readonly accepted: readonly AcceptedPush[]
  readonly share: PartShare
  readonly pushes: UpdatePushes
  readonly needsNorms: boolean
}

/** Exact mode: a step is closed when every rank has pushed it. Step t is computed on version t and makes t + 1. */
export class BarrierCloser implements StepCloser {
  readonly #core: ShardCore
  /** Waits for the other shards' norms. */
  #open: FullStep | undefined

  constructor(core: ShardCore) {
    this.#core = core
  }

  advance(): boolean {
    this.#open ??= this.#fill()
    if (this.#open === undefined) return false
    const { norms, version } = this.#core
    const sums = this.#open.needsNorms ? norms.complete(null, version) : undefined
    if (this.#open.needsNorms && sums === undefined) return false
    this.#close(this.#open, sums)
    norms.forget(null, version)
    this.#open = undefined
    return true
  }

  #fill(): FullStep | undefined {
    const { desk, model, update, norms, cuts, version, generation, options } = this.#core
    const accepted: AcceptedPush[] = []
    for (const push of desk.accepted) if (push !== undefined) accepted.push(push)
    if (accepted.length < options.ranks) {
      if (accepted.length > 0) this.#checkNobodyFinished(accepted)
      return undefined
    }
    const { part } = accepted[0]!.record
    for (const { rank, record } of accepted) {
      if (record.part !== part) throw this.#diverged(rank, record.part, part)
      cuts.learn(record.cutAt)
    }
    const share = model.shares[part]!
    const pushes = {
      blocks: accepted.map(({ block }) => block),
      rows: accepted.map(({ record }) => record.rows),
    }
    const needsNorms = update.needsNorms(share, pushes)
    if (needsNorms) {
      const sums = update.squares(share, pushes)
      const said = { generation, shard: options.shard, rank: null, incarnation: 0, step: version, sums }
      norms.say(said)
      if (options.shards > 1) this.#core.outgoing.push(said)
    }
    return { accepted, share, pushes, needsNorms }
  }

  #close({ accepted, share, pushes }: FullStep, sums: readonly BlockSums[] | undefined): void {
    const core = this.#core
    const { area, cuts, desk, options, record, update, version } = core
    update.apply(share, version, pushes, sums)
    const { number: part, spec } = share.part
    const rows = pushes.rows.reduce((sum, count) => sum + count, 0)
    const outputs = area.outputs(version + 1, options.shard === 0 ? spec.outputs.length : 0)
    let repeated
    if (options.shard === 0) {
      const pushed = accepted.map(({ worker }) => worker.region.outputs())
      reduceOutputs(outputs, pushed, pushes.rows)
      repeated = record.append(0, { part, outputs, rows })
    }
    area.setAnswer(version + 1, { part, rows, cutAt: cuts.chosen })
    core.closed.push({
      step: version,
      rank: null,
      part,
      rows,
      outputs: outputs.slice(),
      ...(repeated === undefined ? {} : { repeated }),
    })
    for (const { rank } of accepted) {
      desk.applied(rank)
      area.setApplied(rank, version + 1)
    }
    core.version += 1
    area.publish(core.version)
  }

  /** Some ranks have made the open step: who ended without it would be waited for in vain. */
  #checkNobodyFinished(accepted: readonly AcceptedPush[]): void {
    const { desk, options, version } = this.#core
    for (let rank = 0; rank < options.ranks; rank++) {
      if (!desk.finished(rank) || accepted.some(push => push.rank === rank)) continue
      throw new TroupeError(
        'ERR_RANKS_DIVERGED',
        `the program of rank ${rank} ended after ${version} steps, ` +
          `but rank ${accepted[0]!.rank} made step ${version + 1}`,
      )
    }
  }

  #diverged(rank: number, got: number, expected: number): TroupeError {
    const named = (part: number): string => {
      const { optimizer, variables } = this.#core.model.shares[part]!.part.spec
      return `optimizer ${optimizer.id} on ${variables.length} variables (${variables[0]?.name ?? 'none'}, …)`
    }
    return new TroupeError(
      'ERR_RANKS_DIVERGED',
      `in step ${this.#core.version + 1} rank ${rank} used ${named(got)}, rank 0 ${named(expected)}`,
      { data: { rank, step: this.#core.version } },
    )
  }
}
