/** Writes the few shapes of protobuf fields that a TensorFlow graph is made of. Each returns the field's bytes. */

const VARINT = 0
const LENGTH_DELIMITED = 2
const FIXED_32 = 5

/** An integer; negative ones take ten bytes, as protobuf's int64 does. */
export function varint(value: number | bigint): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 0x80)
  } while (rest !== 0n)
  return Buffer.from(bytes)
}

export function integerField(field: number, value: number | bigint): Buffer {
  return Buffer.concat([tag(field, VARINT), varint(value)])
}

export function floatField(field: number, value: number): Buffer {
  return Buffer.concat([tag(field, FIXED_32), float(value)])
}

/** Text, bytes, or a message that is given by its fields. */
export function bytesField(field: number, content: string | Uint8Array | readonly Uint8Array[]): Buffer {
  const body =
    typeof content === 'string'
      ? Buffer.from(content)
      : content instanceof Uint8Array
        ? content
        : Buffer.concat(content)
  return Buffer.concat([tag(field, LENGTH_DELIMITED), varint(body.length), body])
}

/** An entry of a map from text to messages. */
export function entryField(field: number, key: string, value: readonly Uint8Array[]): Buffer {
  return bytesField(field, [bytesField(1, key), bytesField(2, value)])
}

export function float(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

function tag(field: number, wireType: number): Buffer {
  return varint((field << 3) | wireType)
}
