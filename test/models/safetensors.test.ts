/** Files that Python wrote, files that lie, and files we write. */
import { describe, expect, it } from 'vitest';
import { CheckpointError, DtypeError } from '../../src/errors.ts';
import { openSafetensors, type SafetensorsFile } from '../../src/models/files/safetensors-reader.ts';
import { type TensorToWrite, writeSafetensors } from '../../src/models/files/safetensors-writer.ts';
import type { FileSink } from '../../src/platform/contract.ts';
import { platform } from '../../src/platform/node.ts';
import { fixtures } from '../support/fixtures.ts';
import { type MemorySource, memorySource } from '../support/memory-source.ts';

const plainPath = `${fixtures}weights/plain.safetensors`;

/** A file of a header's text and some data; `length` is what the header claims of itself. */
function fileOf(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}
const open = (bytes: Uint8Array): Promise<SafetensorsFile> =>
  openSafetensors(memorySource('w.safetensors', bytes));
const f32 = (shape: unknown, begin: unknown, end: unknown) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

/** What a refused file's error says. */
async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await open(bytes).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CheckpointError);
  const { message } = error as CheckpointError;
  expect(message).toMatch(
    /^w\.safetensors: .* · the file may be cut off or damaged: download or save it again$/s,
  );
  return message.slice('w.safetensors: '.length, message.lastIndexOf(' · '));
}

async function written(tensors: TensorToWrite[], metadata?: Record<string, string>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const sink: FileSink = { write: async (bytes) => void parts.push(bytes.slice()) };
  await writeSafetensors(sink, tensors, metadata);
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
const tensor = (
  name: string,
  shape: number[],
  values: number[],
  dtype: 'F32' | 'F16' = 'F32',
): TensorToWrite => ({
  name,
  shape,
  dtype,
  read: async () => Float32Array.from(values),
});

describe('reading', () => {
  it('lists names, types and shapes', async () => {
    const file = await openSafetensors(await platform.openFile(plainPath));
    const listed = Object.fromEntries(
      [...file.tensors].map(([name, { dtype, shape }]) => [name, [dtype, shape]]),
    );
    expect(listed).toEqual({
      f32: ['F32', [2, 3]],
      f16: ['F16', [2, 3]],
      bf16: ['BF16', [4]],
      i64: ['I64', [3]],
      i32: ['I32', [2]],
      u8: ['U8', [3]],
      bool: ['BOOL', [2]],
      scalar: ['F32', []],
      empty: ['F32', [0, 3]],
      'größe.重み': ['F32', [1]],
    });
    expect(file.metadata).toEqual({ note: 'tëst' });
    await file.close();
  });

  it('widens F32, F16 and BF16', async () => {
    const file = await openSafetensors(await platform.openFile(plainPath));
    const row = Float32Array.of(1.5, -2, 0.25, 0, 65504, -0.125);
    expect(await file.readFloat32('f32')).toEqual(row);
    expect(await file.readFloat32('f16')).toEqual(row);
    const [, , , last] = await file.readFloat32('bf16');
    expect(last).toBe(-1.0002555517425873e30);
    expect(await file.readFloat32('scalar')).toEqual(Float32Array.of(2.5));
    expect(await file.readFloat32('empty')).toEqual(new Float32Array(0));
    expect(await file.readFloat32('größe.重み')).toEqual(Float32Array.of(4));
    await file.close();
  });

  it('rounds F64 to nearest, also at odd offsets', async () => {
    const values = [1 / 3, -1e-300, 1e300, 16777217, 2 ** -150, Number.NaN];
    const header = JSON.stringify({
      odd: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
      d: { dtype: 'F64', shape: [6], data_offsets: [1, 49] },
    });
    const bytes = fileOf(header, 49);
    const view = new DataView(bytes.buffer, bytes.length - 48);
    for (const [i, value] of values.entries()) view.setFloat64(i * 8, value, true);
    const file = await open(bytes);
    expect(await file.readFloat32('d')).toEqual(Float32Array.from(values));
  });

  it.each([
    ['C64', [2], 16],
    ['F8_E8M0', [3], 3],
    ['F8_E4M3FNUZ', [3], 3],
    ['F8_E5M2FNUZ', [1], 1],
    ['F6_E2M3', [4], 3],
    ['F6_E3M2', [2, 4], 6],
    ['F4', [6], 3],
  ] as const)('lets a tensor of %s lie, and names it where it is read', async (dtype, shape, size) => {
    const exotic = { dtype, shape, data_offsets: [4, 4 + size] };
    const file = await open(fileOf(JSON.stringify({ w: f32([1], 0, 4), exotic }), 4 + size));
    expect(await file.readFloat32('w')).toEqual(Float32Array.of(0));
    await expect(file.readFloat32('exotic')).rejects.toThrow(`tensor 'exotic' is ${dtype} · weights must be`);
  });

  it('refuses a size of parts of bytes that does not add up', async () => {
    const half = fileOf(JSON.stringify({ a: { dtype: 'F4', shape: [3], data_offsets: [0, 2] } }), 2);
    expect(await refusal(half)).toBe("tensor 'a' of F4 [3] takes 1.5 bytes, its offsets give 2");
  });

  it('refuses integers as floats, and a name it does not hold', async () => {
    const file = await openSafetensors(await platform.openFile(plainPath));
    await expect(file.readFloat32('i64')).rejects.toThrow(DtypeError);
    await expect(file.readFloat32('i64')).rejects.toThrow(
      `${plainPath}: tensor 'i64' is I64 · weights must be F64, F32, F16 or BF16`,
    );
    await expect(file.readFloat32('bool')).rejects.toThrow(DtypeError);
    await expect(file.readFloat32('none')).rejects.toThrow(`${plainPath}: there is no tensor 'none'`);
    await file.close();
  });

  it.each(['F32', 'F16'] as const)('streams a large %s tensor by parts of 4 MiB', async (dtype) => {
    const count = 3_000_001;
    const bytes = new Uint8Array(count * (dtype === 'F32' ? 4 : 2));
    // Element i is 1 where i is a multiple of 1,000, else 0.
    for (let i = 0; i < count; i += 1000) {
      if (dtype === 'F32') bytes.set([0, 0, 0x80, 0x3f], i * 4);
      else bytes.set([0, 0x3c], i * 2);
    }
    const header = fileOf(
      JSON.stringify({ big: { dtype, shape: [count], data_offsets: [0, bytes.length] } }),
    );
    const all = new Uint8Array(header.length + bytes.length);
    all.set(header);
    all.set(bytes, header.length);
    const source = memorySource('w.safetensors', all);
    const file = await openSafetensors(source);
    let next = 0;
    let sum = 0;
    for await (const { elementOffset, values } of file.float32Chunks('big')) {
      expect(elementOffset).toBe(next);
      next += values.length;
      for (let i = 0; i < values.length; i += 1)
        if (values[i] !== 0) sum += (elementOffset + i) % 1000 === 0 ? 1 : Number.NaN;
    }
    expect(next).toBe(count);
    expect(sum).toBe(3001);
    expect(Math.max(...source.reads)).toBe(4 * 2 ** 20);
  });

  it('reads tensors at odd offsets', async () => {
    const header = JSON.stringify({
      a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
      b: f32([1], 1, 5),
      c: { dtype: 'BF16', shape: [1], data_offsets: [5, 7] },
    });
    const bytes = fileOf(header, 7);
    bytes.set([0xff, 0, 0, 0xc0, 0x3f, 0x00, 0xc0], bytes.length - 7);
    const file = await open(bytes);
    expect(await file.readFloat32('b')).toEqual(Float32Array.of(1.5));
    expect(await file.readFloat32('c')).toEqual(Float32Array.of(-2));
  });

  it('takes a header that spaces pad, and a file of no tensors', async () => {
    const padded = await open(fileOf(`${JSON.stringify({ a: f32([1], 0, 4) })}      \n`, 4));
    expect([...padded.tensors.keys()]).toEqual(['a']);
    expect((await open(fileOf('{}'))).tensors.size).toBe(0);
  });
});

describe('files that lie', () => {
  const json = (value: unknown, data = 0) => fileOf(JSON.stringify(value), data);
  const bom = Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d);
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), '0 bytes are too few for a safetensors file'],
    ['no header', new Uint8Array(7), '7 bytes are too few for a safetensors file'],
    [
      'a huge header',
      fileOf('{}', 0, 2n ** 63n),
      'the header claims 9223372036854776000 bytes, more than 25000000',
    ],
    ['a header past the end', fileOf('{}', 0, 3n), 'the header claims 3 bytes, but the file has 10'],
    ['a header of nothing', fileOf(''), 'the header is not a JSON object'],
    ['an array', fileOf('[]'), 'the header is not a JSON object'],
    ['a space first', fileOf(' {}'), 'the header is not a JSON object'],
    ['a byte-order mark', fileOf(bom), 'the header is not a JSON object'],
    ['bad JSON', fileOf('{"a": '), 'the header is not JSON'],
    ['bad UTF-8', fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), 'the header is not JSON'],
    ['metadata of numbers', json({ __metadata__: { a: 1 } }), "'__metadata__' must map strings to strings"],
    ['a tensor of null', json({ a: null }), "tensor 'a': : Invalid type: Expected Object but received null"],
    ['no shape', json({ a: { dtype: 'F32', data_offsets: [0, 0] } }), "tensor 'a': shape: "],
    [
      'a strange type',
      json({ a: { dtype: 'F31', shape: [], data_offsets: [0, 4] } }, 4),
      "tensor 'a': dtype: ",
    ],
    ['a negative size', json({ a: f32([-1], 0, 4) }, 4), "tensor 'a': shape.0: "],
    ['half a size', json({ a: f32([0.5], 0, 2) }, 2), "tensor 'a': shape.0: "],
    [
      'three offsets',
      json({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 8] } }, 8),
      "tensor 'a': data_offsets",
    ],
    ['a negative offset', json({ a: f32([1], -4, 0) }), "tensor 'a': data_offsets.0: "],
    [
      'too few bytes',
      json({ a: f32([2, 3], 0, 20) }, 20),
      "tensor 'a' of F32 [2,3] takes 24 bytes, its offsets give 20",
    ],
    [
      'offsets the wrong way round',
      json({ a: f32([1], 4, 0) }, 4),
      "tensor 'a' of F32 [1] takes 4 bytes, its offsets give -4",
    ],
    [
      'sizes that overflow',
      json({ a: f32([1e300, 1e300], 0, 4) }, 4),
      "tensor 'a' of F32 [1e+300,1e+300] takes Infinity bytes, its offsets give 4",
    ],
    [
      'sizes that overflow to nothing',
      json({ a: f32([1e300, 1e300, 0], 0, 0) }),
      "tensor 'a' of F32 [1e+300,1e+300,0] takes NaN bytes, its offsets give 0",
    ],
    ['a tensor past the end', json({ a: f32([2], 0, 8) }, 4), "tensor 'a' ends at byte "],
    [
      'an overlap',
      json({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12),
      "tensor 'b' overlaps the one before it",
    ],
    [
      'the same bytes twice',
      json({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4),
      "tensor 'b' overlaps the one before it",
    ],
    [
      'a hole',
      json({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12),
      "tensor 'b' leaves a hole of 4 bytes before it",
    ],
    ['a hole at the start', json({ a: f32([1], 4, 8) }, 8), "tensor 'a' leaves a hole of 4 bytes before it"],
    ['bytes after the last', json({ a: f32([1], 0, 4) }, 5), '1 bytes follow the last tensor'],
  ];
  it.each(cases)('%s', async (_, bytes, message) => {
    expect(await refusal(bytes)).toContain(message);
  });

  it("Python's file, cut at any byte", async () => {
    const source = await platform.openFile(plainPath);
    const whole = await source.read(0, source.size);
    await source.close();
    for (let length = 0; length < whole.length; length += 1) await refusal(whole.slice(0, length));
    expect(await refusal(whole.slice(0, -1))).toMatch(/^tensor '.+' ends at byte \d+, but the file has \d+$/);
  });
});

describe('writing', () => {
  it('gives back what was written: scalars, empty tensors, names of any kind', async () => {
    const tensors = [
      tensor('b', [2, 2], [1, -0, 3.5, 1e-40]),
      tensor('h', [3], [1, 2, 65504], 'F16'),
      tensor('7', [], [9]),
      tensor('__proto__', [1], [5]),
      tensor('empty', [0, 4], []),
    ];
    const bytes = await written(tensors, { format: 'pt', step: '3' });
    const file = await open(bytes);
    expect(file.metadata).toEqual({ format: 'pt', step: '3' });
    for (const { name, shape, dtype, read } of tensors) {
      expect(file.entry(name)).toMatchObject({ shape, dtype });
      expect(await file.readFloat32(name), name).toEqual(await read());
    }
  });

  it('begins the data on a multiple of eight bytes, whatever the names', async () => {
    for (let n = 1; n <= 9; n += 1) {
      const bytes = await written([tensor('x'.repeat(n), [1], [1])]);
      expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8).toBe(0);
      expect(bytes[8]).toBe('{'.charCodeAt(0));
      expect((await open(bytes)).metadata).toEqual({ format: 'pt' });
    }
  });

  it('writes views of larger buffers', async () => {
    const read = async () => Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const file = await open(await written([{ name: 'v', shape: [2], dtype: 'F32', read }]));
    expect([...(await file.readFloat32('v'))]).toEqual([2, 3]);
  });

  it('fetches a tensor only when the one before it is written', async () => {
    const events: string[] = [];
    const read = (name: string) => async () => {
      events.push(`read ${name}`);
      return Float32Array.of(1);
    };
    const sink: FileSink = { write: async () => void events.push('write') };
    await writeSafetensors(
      sink,
      ['a', 'b'].map((name) => ({ name, shape: [1], dtype: 'F32', read: read(name) })),
    );
    expect(events).toEqual(['write', 'read a', 'write', 'read b', 'write']);
  });

  it('refuses a tensor of another size, and a name twice', async () => {
    await expect(written([tensor('a', [2, 2], [1, 2, 3])])).rejects.toThrow(
      new CheckpointError("tensor 'a' has 3 elements, its shape [2,2] takes 4"),
    );
    await expect(written([tensor('a', [1], [1]), tensor('a', [1], [2])])).rejects.toThrow(
      "tensor 'a' is there twice · give each tensor a name of its own",
    );
    await expect(written([tensor('__metadata__', [1], [1])])).rejects.toThrow(CheckpointError);
  });
});

it('closes a file that it refuses', async () => {
  const source = memorySource('w.safetensors', fileOf('{"a":'));
  await expect(openSafetensors(source)).rejects.toThrow(CheckpointError);
  expect(source.closed).toBe(true);
});

it('closes the file it was given', async () => {
  const source: MemorySource = memorySource('w.safetensors', fileOf('{}'));
  await (await openSafetensors(source)).close();
  expect(source.closed).toBe(true);
});
