import type { AcceptedPush } from './push-desk.js'
import type { ShardCore } from './shard-core.js'
import type { StepCloser } from './step-closer.js'

/** In place of the fewest steps of a live rank, when there is none: nobody is waited for. */
const NO_FLOOR = 2 ** 31 - 1

/**
 * The modes beside exact mode: each push makes a version of its own as soon as it is there, and its rank is answered
 * by itself. How far ranks may be apart is a matter of {@link ShardArea.floor}, which they heed.
 */
export class LooseCloser implements StepCloser {
  readonly #core: ShardCore
  /** Of each rank, the push whose norms were told to the other shards. */
  readonly #told = new Map<number, AcceptedPush>()

  constructor(core: ShardCore) {
    this.#core = core
  }

  advance(): boolean {
    let advanced = false
    for (const push of this.#core.desk.accepted) {
      if (push !== undefined && this.#apply(push)) advanced = true
    }
    this.#raiseFloor()
    return advanced
  }

  #apply(push: AcceptedPush): boolean {
    const core = this.#core
    const { area, desk, generation, model, norms, options, record, update, version } = core
    const { rank, worker, block } = push
    const { part, rows, step } = push.record
    const { incarnation } = worker.region
    const share = model.shares[part]!
    const pushes = { blocks: [block], rows: [rows] }
    let sums
    if (update.needsNorms(share, pushes)) {
      if (this.#told.get(rank) !== push) {
        this.#told.set(rank, push)
        const sums = update.squares(share, pushes)
        const said = { generation, shard: options.shard, rank, incarnation, step, sums }
        norms.say(said)
        if (options.shards > 1) core.outgoing.push(said)
      }
      sums = norms.complete(rank, step, incarnation)
      if (sums === undefined) return false
    }
    update.apply(share, version, pushes, sums)
    const outputs = options.shard === 0 ? worker.region.outputs().slice() : new Float32Array(0)
    if (options.shard === 0) record.append(rank, { part, outputs, rows })
    area.setAnswer(version + 1, { part, rows, cutAt: 0 })
    core.closed.push({ step, rank, part, rows, outputs })
    norms.forget(rank, step)
    desk.applied(rank)
    area.setApplied(rank, step + 1)
    core.version += 1
    area.publish(core.version)
    return true
  }

  #raiseFloor(): void {
    const { area, desk, options } = this.#core
    let floor = NO_FLOOR
    for (let rank = 0; rank < options.ranks; rank++) {
      if (desk.isLive(rank)) floor = Math.min(floor, area.applied(rank))
    }
    if (floor === area.floor) return
    area.setFloor(floor)
    area.pulse.ring()
  }
}
