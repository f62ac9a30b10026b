/** Lets a layer above send objects of its own, such as refs. */
export interface ValueHooks {
  /**
   * Called with each object that is neither plain nor one of the classes the codec knows. Returns a tag and data
   * that can be sent, or undefined if the object is not one of its own: then the payload is refused.
   */
  encode(value: object): readonly [tag: string, data: unknown] | undefined
  /**
   * The inverse, with a tag and data that may come from a stranger. Returns undefined for a tag it does not know;
   * a throw refuses the frame.
   */
  decode(tag: string, data: unknown): unknown
}
