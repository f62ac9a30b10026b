// AssemblyScript, not TypeScript: compiled to WebAssembly by `npm run build:kernels`. Each function does what its
// namesake in the plain kernels does, with the same operations in the same order, so that the bits are the same.

export { adam, amsgrad } from './adam'
export { adagrad, rmsprop, rmspropCentered, rmspropCenteredMomentum, rmspropMomentum } from './adaptive'
export { momentum, nesterov, sgd } from './descent'
export { clip, decay, scale } from './elementwise'
export { ftrl } from './ftrl'
export { add, weigh2, weigh3, weigh4 } from './reduction'
export { sumSquares } from './squares'
