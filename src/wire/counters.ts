import type { FrameField } from './frame-error.js'

/** What the codec of this thread has met since it was loaded: for metrics, benchmarks and tests. */
export interface WireCounters {
  /** Bad frames, by the field that was wrong. */
  readonly badFrames: Readonly<Partial<Record<FrameField, number>>>
  /** Bytes of tensors and binaries that decoding had to copy, since their place in memory was not aligned. */
  readonly copiedBytes: number
  /** Bytes of tensors and binaries that decoding gave out as views of the frame. */
  readonly viewedBytes: number
}

const badFrames: Partial<Record<FrameField, number>> = {}
let copiedBytes = 0
let viewedBytes = 0

/** A snapshot; take two and subtract. */
export function wireCounters(): WireCounters {
  return { badFrames: { ...badFrames }, copiedBytes, viewedBytes }
}

export function countBadFrame(field: FrameField): void {
  badFrames[field] = (badFrames[field] ?? 0) + 1
}

export function countCopied(bytes: number): void {
  copiedBytes += bytes
}

export function countViewed(bytes: number): void {
  viewedBytes += bytes
}
