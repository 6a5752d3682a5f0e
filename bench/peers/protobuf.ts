/** The part of protobuf's wire format that an ONNX file needs (protobuf.dev/programming-guides/encoding). */

type Bytes = Uint8Array<ArrayBuffer>;

function varint(value: number): Bytes {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Uint8Array.from([...out, Number(rest)]);
}

function concat(parts: readonly Bytes[]): Bytes {
  const out = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A message with the given fields. */
export function message(...fields: readonly Bytes[]): Bytes {
  return concat(fields);
}

export function integer(field: number, value: number): Bytes {
  return concat([varint(field << 3), varint(value)]);
}

export function float(field: number, value: number): Bytes {
  const bits = new Uint8Array(4);
  new DataView(bits.buffer).setFloat32(0, value, true);
  return concat([varint((field << 3) | 5), bits]);
}

/** A string, raw bytes or a message. */
export function bytes(field: number, value: string | Uint8Array): Bytes {
  const data = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return concat([varint((field << 3) | 2), varint(data.length), data as Bytes]);
}
