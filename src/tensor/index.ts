export { BACKEND_CHOICES, BACKEND_NAMES, type BackendChoice, type BackendName } from './backend-name.js'
export { selectBackend, type Backend, type SelectOptions } from './backend.js'
export { fingerprintDifferences, kernelSettingsOf, type ComputeFingerprint } from './fingerprint.js'
export {
  chooseKernelSettings,
  fixKernelSettings,
  kernelEnvironment,
  type KernelIsa,
  type KernelSettings,
} from './native/kernel-settings.js'
export { backendError, checkTrainable, missingGradients, type MissingGradient } from './trainable.js'
export { fromTensorData, readInto, toTensorData } from './transfer.js'
