export { DatasetAgreement, type OpenedDataset } from './dataset-agreement.js'
export {
  arrays,
  datasetKey,
  elements,
  idx,
  type ArraysDescriptor,
  type ArraysOptions,
  type DatasetDescriptor,
  type IdxDescriptor,
  type IdxOptions,
  type RowRange,
} from './descriptor.js'
export {
  MAX_IDX_BYTES,
  MAX_IDX_DIMENSIONS,
  parseIdx,
  type IdxDtype,
  type IdxFile,
  type IdxValues,
} from './idx-format.js'
export { loadDataset, openDataset, type LoadedRows } from './open.js'
export type { DatasetSource } from './source.js'
