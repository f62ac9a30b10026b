import { HdfsEngine, TensorFlowEngine, type Engine, type EngineCache } from '../engines/index.js'

/** Every engine that `troupe provision` and `troupe doctor` know, in the order they are shown. */
export function knownEngines(cache: EngineCache): readonly Engine[] {
  return [new TensorFlowEngine(cache), new HdfsEngine(cache)]
}
