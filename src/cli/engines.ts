import type { Clock } from '../determinism/index.js'
import { HdfsEngine, NatsEngine, TensorFlowEngine, type Engine, type EngineCache } from '../engines/index.js'

/** Every engine that `troupe provision` and `troupe doctor` know, in the order they are shown. */
export function knownEngines(cache: EngineCache, clock: Clock): readonly Engine[] {
  return [new TensorFlowEngine(cache), new NatsEngine(cache, clock), new HdfsEngine(cache)]
}
