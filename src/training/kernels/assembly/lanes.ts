// A body over `T` handles as many elements at a time as T holds: with v128 four, with f32 one, whose neighbours are 0
// when it is read and are not written. So what is left over at the end runs through the same body.

@inline
export function read<T>(at: usize): v128 {
  return sizeof<T>() == 16 ? v128.load(at) : v128.load32_zero(at)
}

@inline
export function write<T>(at: usize, value: v128): void {
  if (sizeof<T>() == 16) v128.store(at, value)
  else v128.store32_lane(at, value, 0)
}

/** Bytes of so many elements. */
@inline
export function bytesOf(length: u32): usize {
  return <usize>length << 2
}

/** Bytes of the whole vectors among these. */
@inline
export function wholeVectors(bytes: usize): usize {
  return bytes & ~15
}
