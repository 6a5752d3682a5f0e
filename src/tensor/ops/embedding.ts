/** Lookup of table rows by id, and position ids. */
import { ShapeError } from '../../errors.ts';
import {
  embeddingGradient,
  embedding as embeddingKernel,
  positionIds as positionIdsKernel,
} from '../../kernels/embedding.ts';
import { defineOp } from '../op.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

const embeddingOp = defineOp({
  name: 'embedding',
  inputs: { table: 'float', ids: 'int32' },
  shape: ({ table, ids }, _options: { paddingId: number }) => {
    if (table.rank !== 2)
      throw new ShapeError(`embedding: table ${formatShape(table.shape)} must be [rows, width]`);
    const [rows] = table.shape;
    const stray = ids.integers?.find((id) => id < 0 || id >= rows!);
    if (stray !== undefined) {
      throw new ShapeError(`embedding: id ${stray} is outside a table of ${rows} rows`, {
        remedy: "was the text encoded by another model's tokenizer?",
      });
    }
    return { shape: [...ids.shape, table.shape[1]!], dtype: table.dtype };
  },
  forward: ({ table, ids }, y) => {
    const [rows, cols] = table.shape as [number, number];
    embeddingKernel(y.device.gpu, {
      ids: ids.slot,
      table: table.slot,
      y: y.slot,
      tokens: ids.size,
      rows,
      cols,
      stray: Number.NaN,
    });
  },
  saves: ['ids'],
  backward: ({ dy, saved: { ids }, options, shape, gradient }) => {
    const { device } = dy;
    const [rows, cols] = shape('table') as [number, number];
    const table = gradient('table');
    device.fill(table, 0);
    const next = device.raw([ids.size], 'uint32');
    const ends = device.raw([rows, 2], 'uint32');
    device.fill(ends, 0);
    const slots = { ids: ids.slot, dy: dy.slot, dtable: table.slot, next: next.slot, ends: ends.slot };
    embeddingGradient(device.gpu, { ...slots, tokens: ids.size, rows, cols, ...options });
    next.dispose();
    ends.dispose();
    return { table };
  },
});

/**
 * Looks up rows of `table` [rows, width] by `ids` (int32, any shape) → [...ids, width]. Throws `ShapeError`
 * for an id outside the table if the host knows the ids; on the GPU alone such an id gives NaN. The row of
 * `paddingId` gets no gradient, as in PyTorch.
 */
export function embedding(table: Tensor, ids: Tensor, paddingId = -1): Tensor {
  return embeddingOp({ table, ids }, { paddingId });
}

const positionIdsOp = defineOp({
  name: 'positionIds',
  inputs: { ids: 'int32' },
  shape: ({ ids }, _options: { padding: number }) => {
    if (ids.rank !== 2)
      throw new ShapeError(`positionIds: ids ${formatShape(ids.shape)} must be [batch, length]`);
    return { shape: ids.shape, dtype: 'int32' };
  },
  forward: ({ ids }, y, { padding }) => {
    const [rows, cols] = ids.shape as [number, number];
    positionIdsKernel(y.device.gpu, { ids: ids.slot, y: y.slot, rows, cols, padding });
  },
  nonDifferentiable: 'positions are integers',
});

/**
 * RoBERTa's positions of ids int32 [batch, length]: counts from `padding` + 1 over the tokens that are not
 * `padding`, which get `padding` itself.
 */
export function positionIds(ids: Tensor, padding: number): Tensor {
  return positionIdsOp({ ids }, { padding });
}
