/** A model's weights and gradients by their names in files. */
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { storedWeights } from '../../src/models/files/weight-names.ts';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

export interface StoredWeight {
  tensor: Tensor;
  shape: Shape;
  values(): Promise<Float32Array>;
  /** Null without a gradient. */
  gradient(): Promise<Float32Array | null>;
}

export function weightsOf(model: Pick<PreTrainedModel, 'fileWeights'>): Map<string, StoredWeight> {
  return new Map(
    storedWeights(model.fileWeights()).map(({ name, tensor, shape, offset }) => {
      const part = async (whole: Tensor) =>
        (await whole.float32Data()).subarray(offset, offset + sizeOf(shape));
      const weight: StoredWeight = {
        tensor,
        shape,
        values: () => part(tensor),
        gradient: async () => (tensor.grad === null ? null : part(tensor.grad)),
      };
      return [name, weight];
    }),
  );
}
