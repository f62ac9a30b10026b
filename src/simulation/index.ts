/** The door `troupe/testing`. */
export { VirtualClock, type VirtualClockOptions } from './virtual-clock.js'
export { settle } from './turn.js'
