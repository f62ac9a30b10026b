export { Clock, SystemClock, type Timer } from './clock.js'
export { Random, SeededRandom, avalanche, entropySeed, hashSeed } from './random.js'
export { Scheduler, SystemScheduler } from './scheduler.js'
export { token, type Token } from './token.js'
