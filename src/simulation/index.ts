/** The door `troupe/testing`. */
export { VirtualClock, type VirtualClockOptions } from './virtual-clock.js'
export { settle } from './turn.js'
export { simulate } from './simulate.js'
export { type Scenario, type SimulateOptions, type Simulation, type SimulationReport } from './simulation.js'
export { type BootNode, type SimulatedNode, type SimulatedTroupeOptions } from './simulated-node.js'
export { type Fault, type FaultKind, type FaultPlan, type NetworkFault, type NodeFault } from './fault.js'
