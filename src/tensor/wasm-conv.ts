import type * as Tfjs from '@tensorflow/tfjs'

const KERNEL = 'Conv2DBackpropFilter'

interface Attributes {
  readonly strides: [number, number] | number
  readonly pad: 'valid' | 'same' | number | Tfjs.backend_util.ExplicitPadding
  readonly dataFormat: 'NHWC' | 'NCHW'
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil'
  readonly filterShape: [number, number, number, number]
}

type ConvInfo = Tfjs.backend_util.Conv2DInfo

/**
 * Gives the wasm backend the one kernel that it lacks for training convolutions: the gradient of their filters. Put
 * together from kernels that it has: for each place of the filter, the inputs that met it there, multiplied by the
 * gradient of the outputs. Does nothing where the kernel is there.
 */
export function addConvFilterGradient(tf: typeof Tfjs): void {
  if (tf.getKernel(KERNEL, 'wasm') !== undefined) return
  tf.registerKernel({
    kernelName: KERNEL,
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs }) => {
      const { x, dy } = inputs as unknown as { x: Tfjs.Tensor4D; dy: Tfjs.Tensor4D }
      return filterGradient(tf, x, dy, attrs as unknown as Attributes)
    },
  })
}

function filterGradient(
  tf: typeof Tfjs,
  x: Tfjs.Tensor4D,
  dy: Tfjs.Tensor4D,
  { strides, pad, dataFormat, dimRoundingMode, filterShape }: Attributes,
): Tfjs.Tensor {
  const { backend_util: util } = tf
  const format = util.convertConv2DDataFormat(dataFormat)
  const info = util.computeConv2DInfo(x.shape, filterShape, strides, 1, pad, dimRoundingMode, false, format)
  const { top, bottom, left, right } = info.padInfo
  return tf.tidy(() => {
    const channelsLast = (tensor: Tfjs.Tensor4D): Tfjs.Tensor4D =>
      dataFormat === 'NHWC' ? tensor : tf.transpose(tensor, [0, 2, 3, 1])
    const padded = tf.pad4d(channelsLast(x), [[0, 0], [top, bottom], [left, right], [0, 0]]) // prettier-ignore
    const dense = info.strideHeight === 1 && info.strideWidth === 1
    const gradients = (dense ? denseGradients : stridedGradients)(tf, padded, channelsLast(dy), info)
    return tf.stack(gradients).reshape(filterShape)
  })
}

/**
 * One gradient for each place of the filter. With outputs widened by zeros to the width of the inputs, the inputs that
 * met a place are a run of rows of one matrix: no slice has to pick columns, which costs more than the product.
 */
function denseGradients(
  tf: typeof Tfjs,
  padded: Tfjs.Tensor4D,
  dy: Tfjs.Tensor4D,
  { batchSize, inChannels, outChannels, outHeight, outWidth, filterHeight, filterWidth }: ConvInfo,
): Tfjs.Tensor[] {
  const width = padded.shape[2]
  const rows = batchSize * outHeight * width - (filterWidth - 1)
  const wide = tf.pad4d(dy, [[0, 0], [0, 0], [0, width - outWidth], [0, 0]]) // prettier-ignore
  const outputs = tf.slice(wide.reshape([-1, outChannels]), [0, 0], [rows, outChannels]) as Tfjs.Tensor2D
  const gradients: Tfjs.Tensor[] = []
  for (let row = 0; row < filterHeight; row++) {
    const band = tf.slice(padded, [0, row, 0, 0], [batchSize, outHeight, width, inChannels])
    const inputs = band.reshape([-1, inChannels])
    for (let column = 0; column < filterWidth; column++) {
      const met = tf.slice(inputs, [column, 0], [rows, inChannels])
      gradients.push(tf.matMul(met, outputs, true, false))
      met.dispose()
    }
  }
  return gradients
}

function stridedGradients(
  tf: typeof Tfjs,
  padded: Tfjs.Tensor4D,
  dy: Tfjs.Tensor4D,
  info: ConvInfo,
): Tfjs.Tensor[] {
  const { batchSize, inChannels, outHeight, outWidth, strideHeight, strideWidth } = info
  const outputs = dy.reshape([-1, info.outChannels]) as Tfjs.Tensor2D
  const gradients: Tfjs.Tensor[] = []
  for (let row = 0; row < info.filterHeight; row++) {
    for (let column = 0; column < info.filterWidth; column++) {
      const [lastRow, lastColumn] = [
        row + (outHeight - 1) * strideHeight,
        column + (outWidth - 1) * strideWidth,
      ]
      const end = [batchSize, lastRow + 1, lastColumn + 1, inChannels]
      const met = tf.stridedSlice(padded, [0, row, column, 0], end, [1, strideHeight, strideWidth, 1])
      gradients.push(tf.matMul(met.reshape([-1, inChannels]), outputs, true, false))
      met.dispose()
    }
  }
  return gradients
}
