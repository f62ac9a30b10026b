/** The door `troupe/testing`. */
export { VirtualClock, type VirtualClockOptions } from './virtual-clock.js'
export { settle } from './turn.js'
export { simulate } from './simulate.js'
export { explore, type ExploreOptions, type ExploreReport } from './explore.js'
export { randomPlan, type PlanFaults, type RandomPlanOptions } from './random-plan.js'
export { REPLAY_VARIABLE } from './replay.js'
export { type Scenario, type SimulateOptions, type Simulation, type SimulationReport } from './simulation.js'
export { type BootNode, type SimulatedNode, type SimulatedTroupeOptions } from './simulated-node.js'
export { type Fault, type FaultKind, type FaultPlan, type NetworkFault, type NodeFault } from './fault.js'
export {
  FaultyFiles,
  MemoryFiles,
  randomDiskFaults,
  type DiskFaultRates,
  type FileFault,
  type FileOperation,
  type MemoryFilesOptions,
} from '../checkpoint/index.js'
