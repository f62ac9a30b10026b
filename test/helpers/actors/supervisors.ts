import { actor, type ActorClass, type SupervisionOptions } from 'troupe'
import { Subject } from './subject.js'

const FORGIVING = { maxRestarts: 1_000, backoff: { baseMs: 0 } }

@actor('test-one-for-one', { module: import.meta.url })
export class OneForOne extends Subject {
  static readonly supervision: SupervisionOptions = { ...FORGIVING, strategy: 'one-for-one' }
}

@actor('test-one-for-all', { module: import.meta.url })
export class OneForAll extends Subject {
  static readonly supervision: SupervisionOptions = { ...FORGIVING, strategy: 'one-for-all' }
}

@actor('test-rest-for-one', { module: import.meta.url })
export class RestForOne extends Subject {
  static readonly supervision: SupervisionOptions = { ...FORGIVING, strategy: 'rest-for-one' }
}

let made = 0

/** A subject that supervises its children so. Inline only: no module declares it. */
export function supervising(supervision: SupervisionOptions): ActorClass<Subject> {
  class Supervising extends Subject {
    static readonly supervision = { backoff: { baseMs: 0 }, ...supervision }
  }
  actor(`test-supervising-${++made}`)(Supervising)
  return Supervising
}
