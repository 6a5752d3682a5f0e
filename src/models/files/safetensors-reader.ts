/**
 * Reads safetensors files by range: a header of names, types, shapes and offsets, then the tensors' bytes.
 */
import * as v from 'valibot';
import { sizeOf } from '../../arrays.ts';
import { CheckpointError, DtypeError } from '../../errors.ts';
import type { FileSource } from '../../platform/contract.ts';
import { bfloat16ToFloat32, float16ToFloat32 } from '../../tensor/float16.ts';

/** Bits of an element of each type that the format has; only floats of 16 bits and more are read. */
const itemBits = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  C64: 64,
  F8_E4M3: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2: 8,
  F8_E5M2FNUZ: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;
export type SafetensorsDtype = keyof typeof itemBits;

/** Types that are read, and how their bytes become float32; a float64 rounds to nearest. */
const widen = {
  F64: (bytes: Uint8Array) =>
    Float32Array.from(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8)),
  F32: (bytes: Uint8Array) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4),
  F16: (bytes: Uint8Array) => float16ToFloat32(halvesOf(bytes)),
  BF16: (bytes: Uint8Array) => bfloat16ToFloat32(halvesOf(bytes)),
};
type FloatType = keyof typeof widen;

function isFloat(dtype: SafetensorsDtype): dtype is FloatType {
  return Object.hasOwn(widen, dtype);
}

function halvesOf(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}

export interface TensorEntry {
  dtype: SafetensorsDtype;
  shape: readonly number[];
  /** Bytes from the start of the file. */
  offset: number;
  byteLength: number;
}

/** A run of a tensor's elements. */
export interface FloatChunk {
  elementOffset: number;
  values: Float32Array;
}

/** Larger headers are refused, as `@huggingface/hub` does. */
const HEADER_LIMIT = 25_000_000;
const CHUNK_BYTES = 4 * 2 ** 20;

/** The error of a file that does not add up. */
function damaged(path: string, what: string, cause?: unknown): CheckpointError {
  const remedy = 'the file may be cut off or damaged: download or save it again';
  return new CheckpointError(`${path}: ${what}`, { remedy, cause });
}

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const entrySchema = v.object({
  dtype: v.picklist(Object.keys(itemBits) as SafetensorsDtype[]),
  shape: v.array(count),
  data_offsets: v.strictTuple([count, count]),
});

export class SafetensorsFile {
  readonly path: string;

  constructor(
    private readonly source: FileSource,
    readonly metadata: Readonly<Record<string, string>>,
    readonly tensors: ReadonlyMap<string, TensorEntry>,
  ) {
    this.path = source.path;
  }

  /** Throws `CheckpointError` for a name the file does not hold. */
  entry(name: string): TensorEntry {
    const found = this.tensors.get(name);
    if (found === undefined) throw new CheckpointError(`${this.path}: there is no tensor '${name}'`);
    return found;
  }

  /**
   * The elements as float32, a few megabytes at a time. F16 and BF16 widen, F64 rounds; other types throw
   * `DtypeError`.
   */
  async *float32Chunks(name: string): AsyncGenerator<FloatChunk> {
    const { dtype, offset, byteLength } = this.entry(name);
    if (!isFloat(dtype)) {
      throw new DtypeError(`${this.path}: tensor '${name}' is ${dtype}`, {
        remedy: 'weights must be F64, F32, F16 or BF16',
      });
    }
    const size = itemBits[dtype] / 8;
    for (let at = 0; at < byteLength; at += CHUNK_BYTES) {
      const bytes = await this.source.read(offset + at, Math.min(CHUNK_BYTES, byteLength - at));
      yield { elementOffset: at / size, values: widen[dtype](aligned(bytes, size)) };
    }
  }

  /** All elements of a tensor of floats, as `float32Chunks` gives them. */
  async readFloat32(name: string): Promise<Float32Array> {
    const out = new Float32Array(sizeOf(this.entry(name).shape));
    for await (const { elementOffset, values } of this.float32Chunks(name)) out.set(values, elementOffset);
    return out;
  }

  async close(): Promise<void> {
    await this.source.close();
  }
}

/** Typed arrays need aligned bytes. */
function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

/**
 * Reads and checks the header. Throws `CheckpointError` naming the file, the tensor and the bytes for
 * anything that does not add up; the source is closed then.
 */
export async function openSafetensors(source: FileSource): Promise<SafetensorsFile> {
  try {
    return await checkedFile(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function checkedFile(source: FileSource): Promise<SafetensorsFile> {
  const { path, size } = source;
  if (size < 8) throw damaged(path, `${size} bytes are too few for a safetensors file`);
  const prefix = await source.read(0, 8);
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true));
  if (length > HEADER_LIMIT)
    throw damaged(path, `the header claims ${length} bytes, more than ${HEADER_LIMIT}`);
  if (8 + length > size) throw damaged(path, `the header claims ${length} bytes, but the file has ${size}`);
  const { __metadata__: given, ...entries } = parseHeader(path, await source.read(8, length));
  const metadata = v.safeParse(v.record(v.string(), v.string()), given ?? {});
  if (!metadata.success) throw damaged(path, "'__metadata__' must map strings to strings");
  const data = { start: 8 + length, size };
  const tensors = new Map(
    Object.entries(entries).map(([name, value]) => [name, parseEntry(path, name, value, data)]),
  );
  checkCoverage(path, tensors, data);
  return new SafetensorsFile(source, metadata.output, tensors);
}

function parseHeader(path: string, bytes: Uint8Array): Record<string, unknown> {
  // The format has a brace first: no space, no byte-order mark.
  if (bytes[0] !== 0x7b) throw damaged(path, 'the header is not a JSON object');
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damaged(path, 'the header is not JSON', cause);
  }
}

/** Where the tensors begin in a file of `size` bytes. */
interface DataRange {
  start: number;
  size: number;
}

function parseEntry(path: string, name: string, value: unknown, data: DataRange): TensorEntry {
  const result = v.safeParse(entrySchema, value);
  if (!result.success) {
    const issue = result.issues[0];
    const key = issue.path?.map((item) => String(item.key)).join('.') ?? '';
    throw damaged(path, `tensor '${name}': ${key}: ${issue.message}`);
  }
  const { dtype, shape, data_offsets } = result.output;
  const [begin, end] = data_offsets;
  const expected = (sizeOf(shape) * itemBits[dtype]) / 8;
  if (end - begin !== expected)
    throw damaged(
      path,
      `tensor '${name}' of ${dtype} [${shape.join(',')}] takes ${expected} bytes, its offsets give ${end - begin}`,
    );
  if (data.start + end > data.size)
    throw damaged(path, `tensor '${name}' ends at byte ${data.start + end}, but the file has ${data.size}`);
  return { dtype, shape, offset: data.start + begin, byteLength: expected };
}

/** The tensors fill the rest of the file without overlap or hole. */
function checkCoverage(path: string, tensors: ReadonlyMap<string, TensorEntry>, data: DataRange): void {
  const ordered = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength);
  let at = data.start;
  for (const [name, { offset, byteLength }] of ordered) {
    if (offset < at) throw damaged(path, `tensor '${name}' overlaps the one before it`);
    if (offset > at) throw damaged(path, `tensor '${name}' leaves a hole of ${offset - at} bytes before it`);
    at += byteLength;
  }
  if (at !== data.size) throw damaged(path, `${data.size - at} bytes follow the last tensor`);
}
