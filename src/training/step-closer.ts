/** How accepted pushes become versions. */
export interface StepCloser {
  /** Makes the next version, if all that it needs is there. */
  advance(): boolean
}
