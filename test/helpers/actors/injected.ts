import { z } from 'zod'
import { Actor, actor, ActorContext, Args, Clock, handles, inject, Random, token } from 'troupe'

export interface Store {
  get(key: string): string | undefined
}

/** A service of a test's own. */
export const Store = token<Store>('test.Store')

abstract class Base extends Actor {
  constructor(
    @inject(ActorContext) readonly context: ActorContext,
    @inject(Args) readonly args: { readonly from: number },
    @inject(Clock) readonly clock: Clock,
    @inject(Random) readonly random: Random,
  ) {
    super()
  }
}

/** Has no constructor of its own. */
@actor('test-derived', { module: import.meta.url })
export class Derived extends Base {
  @handles() injected(): object {
    return {
      path: this.context.path,
      from: this.args.from,
      clock: typeof this.clock.monotonic(),
      random: typeof this.random.next(),
    }
  }
}

@actor('test-checked', { module: import.meta.url })
export class Checked extends Actor {
  #sum = 0

  @handles({ schema: z.number() }) add(by: number): number {
    this.#sum += by
    return this.#sum
  }
}

@actor('test-given', { module: import.meta.url })
export class Given extends Actor {
  readonly #args: unknown

  constructor(@inject(Args) args: unknown) {
    super()
    this.#args = args
  }

  @handles() args(): string {
    return String(this.#args)
  }
}
