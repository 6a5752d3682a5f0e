/** Arrays by name: the content of a batch, and the outputs for many batches, joined. */
import type { Batch, BatchArray } from '../data/collate.ts';
import { DataError } from '../errors.ts';
import { IGNORED } from '../tensor/ops/loss.ts';
import { formatShape, sizeOf, stridesOf } from '../tensor/shape.ts';
import type { Dtype, TypedArrays } from '../tensor/tensor.ts';

/** A tensor on the CPU. */
export interface NamedArray<T = TypedArrays[Dtype]> {
  /** Row-major. */
  values: T;
  shape: readonly number[];
}

/** Keys of a batch, or of the result of `encodeBatch`, that are not arrays for a model. */
const descriptions: ReadonlySet<string> = new Set([
  'shape',
  'shapes',
  'indices',
  'lossWeight',
  'encodings',
  'overflowToSampleMapping',
]);

const isArray = (value: unknown): value is BatchArray =>
  value instanceof Int32Array || value instanceof Float32Array;

/**
 * The arrays of a batch with their shapes. Throws `DataError` for anything that is not a batch, and naming an
 * entry that is not an array or does not fit its shape.
 */
export function arraysOf(batch: Pick<Batch, 'shape'>): [name: string, array: NamedArray<BatchArray>][] {
  const { shape, shapes = {} } = (batch ?? {}) as Partial<Batch>;
  if (!Array.isArray(shape))
    throw new DataError('toTensors: there is no batch', {
      remedy: 'pass what a collator makes, or encodeBatch',
    });
  const size = sizeOf(shape);
  return Object.entries(batch).flatMap(([name, values]: [string, unknown]) => {
    if (values === undefined || descriptions.has(name)) return [];
    if (!isArray(values))
      throw new DataError(`toTensors: '${name}' is no Int32Array or Float32Array`, {
        remedy: 'give a batch flat arrays by the names that the model takes',
      });
    const own = shapes[name] ?? (values.length === size ? shape : [values.length]);
    if (sizeOf(own) !== values.length)
      throw new DataError(
        `toTensors: '${name}' has ${values.length} values for the shape ${formatShape(own)}`,
        { remedy: "mend the batch's shapes" },
      );
    return [[name, { values, shape: own }]];
  });
}

/**
 * Joins arrays of several batches along the first dimension. In every other dimension, shorter arrays are
 * filled up with −100 to the longest, as in transformers: as a label, it does not count. Throws `DataError` if
 * they differ in rank.
 */
export function joinBatches<T extends TypedArrays[Dtype]>(
  name: string,
  parts: readonly NamedArray<T>[],
): NamedArray<T> {
  const [first] = parts;
  const rank = first!.shape.length;
  const odd = parts.find(({ shape }) => shape.length !== rank);
  if (odd !== undefined)
    throw new DataError(
      `${name} of several batches cannot be joined: ${formatShape(first!.shape)} · ${formatShape(odd.shape)}`,
      { remedy: 'give it the same rank in every batch, with a row for each example' },
    );
  const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  const longest = first!.shape.slice(1).map((_, at) => Math.max(...parts.map(({ shape }) => shape[at + 1]!)));
  const shape = [rows, ...longest];
  const values = new (first!.values.constructor as new (size: number) => T)(sizeOf(shape)).fill(IGNORED) as T;
  const strides = stridesOf(shape);
  let row = 0;
  for (const { values: part, shape: own } of parts) {
    const ownStrides = stridesOf(own);
    // From the last dimension that was filled up on, elements are contiguous on both sides.
    const filled = own.findLastIndex((size, d) => d > 0 && size !== shape[d]);
    const width = sizeOf(own.slice(Math.max(filled, 0)));
    for (let from = 0; from < part.length; from += width) {
      const to = ownStrides.reduce(
        (sum, stride, d) => sum + (Math.floor(from / stride) % own[d]!) * strides[d]!,
        row * strides[0]!,
      );
      values.set(part.subarray(from, from + width), to);
    }
    row += own[0]!;
  }
  return { values, shape };
}
