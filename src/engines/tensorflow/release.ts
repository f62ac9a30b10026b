/** What is installed, to the byte. */

export const TENSORFLOW_VERSION = '2.21.0'

/** The npm package whose binding is compiled, and its kernels loaded. */
export const BINDING_PACKAGE = '@tensorflow/tfjs-node-gpu'
export const BINDING_VERSION = '4.22.0'

/** An npm package, with the digest of its archive as lock files have it. */
export interface NpmArchive {
  readonly name: string
  readonly version: string
  readonly integrity: string
}

export const BINDING_ARCHIVE: NpmArchive = {
  name: BINDING_PACKAGE,
  version: BINDING_VERSION,
  integrity:
    'sha512-p//NN6DGiN4hInUmIkRffaFVMcdTREUMjPyjW04J7OXvB2zBlQimj61eFKSgRrH3f5TnOfKzb0n56he/B6a4bw==',
}

/** The binding's only dependency that is needed to load it. */
export const PROTOBUF_ARCHIVE: NpmArchive = {
  name: 'google-protobuf',
  version: '3.21.4',
  integrity:
    'sha512-MnG7N936zcKTco4Jd2PX2U96Kf9PxygAPKBug+74LHzmHXmceN16MmRcdgZv+DGef/S9YvQAfRsNCn4cjf9yyQ==',
}

/** `node_api.h`, for a Node that came without its headers. */
export const NODE_API_ARCHIVE: NpmArchive = {
  name: 'node-api-headers',
  version: '1.9.0',
  integrity:
    'sha512-2oNILP4jXwRB4ywnYKjVk1YyJ96n2D4EOVJO6S3oYZ5PtbJrw3Yt9TpAuX3nBLMuzn74rnfGQrv13pS9vC+YiA==',
}

/** The libraries that the binding stands on, as the wheel has them, with SHA-256. */
export const LIBRARIES = {
  'libtensorflow_cc.so.2': '6505a4b9657e62100c6bdacb683957a395cb047725042945aaa50e40a71e429e',
  'libtensorflow_framework.so.2': 'f060b323b26ef80add21b9df9428de3aeaf2843d772c5bb098745f7abff3709b',
} as const

/** What the binding includes, directly or by way of another header; below `tensorflow/include` in the wheel. */
export const HEADERS = [
  'tensorflow/c/c_api.h',
  'tensorflow/c/c_api_macros.h',
  'tensorflow/c/eager/c_api.h',
  'tensorflow/c/tf_attrtype.h',
  'tensorflow/c/tf_buffer.h',
  'tensorflow/c/tf_datatype.h',
  'tensorflow/c/tf_status.h',
  'tensorflow/c/tf_tensor.h',
  'tensorflow/c/tf_tstring.h',
  'tensorflow/core/platform/ctstring.h',
  'tensorflow/core/platform/ctstring_internal.h',
  'tsl/platform/ctstring.h',
  'tsl/platform/ctstring_internal.h',
  'xla/tsl/c/tsl_status.h',
] as const

/**
 * The Python wheel that has libraries and headers. Any Python can fetch any tag; the libraries in it are the same for all.
 */
export const WHEEL = {
  name: 'tensorflow-cpu',
  python: '3.13',
  platform: 'manylinux_2_27_x86_64',
  downloadBytes: 274_000_000,
  /** Stripped libraries, and while they are being made, the wheel and the libraries as they came. */
  diskBytes: 1_100_000_000,
} as const
