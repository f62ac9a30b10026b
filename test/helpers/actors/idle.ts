import { Actor, actor, handles, Rejected } from 'troupe'

/** As small as an actor can be: for many of them. */
@actor('test-idle', { module: import.meta.url })
export class Idle extends Actor {
  @handles() touch(): void {}

  @handles() fail(): void {
    throw new Error('on purpose')
  }

  @handles() refuse(): void {
    throw new Rejected('NO')
  }
}
