import { HdfsEngine, type Engine, type EngineCache } from '../engines/index.js'

/** Every engine that `troupe provision` and `troupe doctor` know, in the order they are shown. */
export function knownEngines(cache: EngineCache): readonly Engine[] {
  return [new HdfsEngine(cache)]
}
