/** Conversion of 16-bit floats, against NumPy and PyTorch. */
import { describe, expect, it } from 'vitest';
import { openSafetensors } from '../../src/models/files/safetensors-reader.ts';
import { platform } from '../../src/platform/node.ts';
import { bfloat16ToFloat32, float16ToFloat32, float32ToFloat16 } from '../../src/tensor/float16.ts';
import { fixtures } from '../support/fixtures.ts';

const path = `${fixtures}weights/half.safetensors`;

/** The bytes of a tensor in the file. */
async function raw(name: string): Promise<Uint8Array> {
  const source = await platform.openFile(path);
  const { offset, byteLength } = (await openSafetensors(source)).entry(name);
  const bytes = await source.read(offset, byteLength);
  await source.close();
  return bytes;
}
const half = async (name: string) => new Uint16Array((await raw(name)).buffer);
const float = async (name: string) => new Float32Array((await raw(name)).buffer);

describe('half', () => {
  it('widens float16 of every kind', async () => {
    expect(float16ToFloat32(await half('f16'))).toEqual(await float('f16_value'));
  });

  it('widens bfloat16', async () => {
    expect(bfloat16ToFloat32(await half('bf16'))).toEqual(await float('bf16_value'));
  });

  it('narrows to the nearest float16: ties, subnormals, too large', async () => {
    const [source, expected] = [await float('f32'), await half('to_f16')];
    const actual = float32ToFloat16(source);
    const wrong = [...actual].flatMap((bits, i) =>
      bits === expected[i] ? [] : [[source[i], bits, expected[i]]],
    );
    expect(source.length).toBeGreaterThan(2000);
    expect(wrong).toEqual([]);
  });

  it('gives back each of the 65,536 float16, and keeps NaN a NaN', () => {
    const every = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
    const isNaN16 = (bits: number) => (bits & 0x7fff) > 0x7c00;
    const back = float32ToFloat16(float16ToFloat32(every));
    expect([...every].filter((bits) => !isNaN16(bits) && back[bits] !== bits)).toEqual([]);
    expect([...every].filter((bits) => isNaN16(bits) && !isNaN16(back[bits]!))).toEqual([]);
  });

  it('takes a view into a larger buffer', () => {
    expect([...float32ToFloat16(Float32Array.of(9, 1, -2).subarray(1))]).toEqual([0x3c00, 0xc000]);
  });
});
