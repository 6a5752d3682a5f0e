/** 16-bit floats to and from float32. Node 20 has no `Float16Array`. */

/** Every float16 as float32: a table of 65,536, made at first use. */
let halves: Float32Array | null = null;

function halfTable(): Float32Array {
  if (halves !== null) return halves;
  halves = new Float32Array(65_536);
  for (let bits = 0; bits < 65_536; bits += 1) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) halves[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) halves[bits] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else halves[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return halves;
}

export function float16ToFloat32(source: Uint16Array): Float32Array {
  const table = halfTable();
  const out = new Float32Array(source.length);
  for (let i = 0; i < source.length; i += 1) out[i] = table[source[i]!]!;
  return out;
}

/** bfloat16 is the upper half of a float32. */
export function bfloat16ToFloat32(source: Uint16Array): Float32Array {
  const out = new Uint32Array(source.length);
  for (let i = 0; i < source.length; i += 1) out[i] = source[i]! << 16;
  return new Float32Array(out.buffer);
}

/** Rounds to the nearest float16, ties to even; what is too large becomes infinite. */
export function float32ToFloat16(source: Float32Array): Uint16Array {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const out = new Uint16Array(source.length);
  for (let i = 0; i < source.length; i += 1) {
    const value = bits[i]!;
    const sign = (value >>> 16) & 0x8000;
    const magnitude = value & 0x7fff_ffff;
    if (magnitude > 0x7f80_0000) out[i] = sign | 0x7e00;
    else if (magnitude >= 0x4780_0000) out[i] = sign | 0x7c00;
    else if (magnitude >= 0x3880_0000) {
      // Normal: drop 13 bits of the fraction; adding this rounds to nearest even and may carry into the
      // exponent.
      const odd = (magnitude >>> 13) & 1;
      out[i] = sign | ((magnitude - 0x3800_0000 + 0xfff + odd) >>> 13);
    } else {
      // Subnormal: an integer multiple of 2^-24, rounded to even by the hardware's float addition.
      const scaled = Math.abs(source[i]!) * 2 ** 24;
      const floor = Math.floor(scaled);
      const rest = scaled - floor;
      const up = rest > 0.5 || (rest === 0.5 && floor % 2 === 1);
      out[i] = sign | (floor + (up ? 1 : 0));
    }
  }
  return out;
}
