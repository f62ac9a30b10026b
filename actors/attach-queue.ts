import type { Shard } from 'troupe/training'

/** A worker that waits for a part of the model. */
interface Attaching {
  readonly part: number
  readonly attach: () => void
  readonly refuse: (error: Error) => void
}

/** Workers that came before the chief had defined what they train. */
export class AttachQueue {
  readonly #shard: Shard
  #waiting: Attaching[] = []

  constructor(shard: Shard) {
    this.#shard = shard
  }

  /** Attaches at once what can be. */
  add(attaching: Attaching): void {
    this.#waiting.push(attaching)
    this.settle()
  }

  /** Attaches those whose part is there, or never will be. */
  settle(): void {
    const ready = ({ part }: Attaching): boolean => part < this.#shard.parts || this.#shard.finished(0)
    const waiting = this.#waiting
    this.#waiting = waiting.filter(each => !ready(each))
    for (const each of waiting) if (ready(each)) each.attach()
  }

  /** Whoever waits belongs to what is gone. */
  refuse(error: Error): void {
    for (const each of this.#waiting) each.refuse(error)
    this.#waiting = []
  }
}
