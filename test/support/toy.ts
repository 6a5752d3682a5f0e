/** Small datasets for the tiny fixture models: random tokens with a learnable class; sizes of a tiny model. */
import { ArrayDataset } from '../../src/data/dataset.ts';
import { Random } from '../../src/data/random.ts';

/** Sizes of a model that every family takes. */
export const tinySizes = {
  vocabSize: 41,
  hiddenSize: 24,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  intermediateSize: 36,
  maxPositionEmbeddings: 16,
  padTokenId: 1,
};

/** Texts of 3 to 12 tokens; the class is the first token modulo the number of classes. */
export function toyDataset(count: number, classes: number, seed: number, length?: number): ArrayDataset {
  const random = new Random(seed);
  return new ArrayDataset(
    Array.from({ length: count }, () => {
      const tokens = Array.from({ length: length ?? 3 + random.integer(10) }, () => 5 + random.integer(120));
      return { inputIds: [2, ...tokens, 3], label: tokens[0]! % classes };
    }),
  );
}
