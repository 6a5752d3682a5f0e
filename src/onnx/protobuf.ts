/** The part of protobuf's wire format that ONNX files need (protobuf.dev/programming-guides/encoding). */

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

/** A message with the given fields. */
export function message(...fields: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(fields.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const field of fields) {
    out.set(field, at);
    at += field.length;
  }
  return out;
}

export function integer(field: number, value: number): Bytes {
  return message(varint(field << 3), varint(value));
}

export function float(field: number, value: number): Bytes {
  const bits = new Uint8Array(4);
  new DataView(bits.buffer).setFloat32(0, value, true);
  return message(varint((field << 3) | 5), bits);
}

/** What comes before the content of a string, of raw bytes or of a message. */
export function bytesHead(field: number, length: number): Bytes {
  return message(varint((field << 3) | 2), varint(length));
}

/** A string, raw bytes or a message. */
export function bytes(field: number, value: string | Uint8Array): Bytes {
  const data = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return message(bytesHead(field, data.length), data);
}
