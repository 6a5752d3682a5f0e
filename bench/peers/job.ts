/** The jobs that every library runs: one BERT classifier, its weights and batch made from a seed. */

export interface PeerModel {
  name: string;
  layers: number;
  hidden: number;
  heads: number;
  vocabulary: number;
}

/** Row-major values; the `weight` of a dense layer is [out, in], as in a checkpoint. */
export interface HostTensor {
  shape: readonly number[];
  values: Float32Array;
}

/** Weights by their names in a checkpoint of transformers' BertForSequenceClassification. */
export type Weights = ReadonlyMap<string, HostTensor>;

export interface Batch {
  size: number;
  length: number;
  /** [size, length] */
  ids: Int32Array;
  /** [size, length]: 1 for a token, 0 for padding. */
  mask: Int32Array;
  /** [size] */
  labels: Int32Array;
}

export interface PeerJob {
  model: PeerModel;
  weights: Weights;
  /** The first of the batches; mostly the only one. */
  batch: Batch;
  batches: readonly Batch[];
}

export const POSITIONS = 512;
export const CLASSES = 2;
export const LAYER_NORM_EPS = 1e-12;
/** Added to the score of a key that is padding. */
export const MASKED = -1e9;

/** Adam with PyTorch's defaults (without weight decay, which TensorFlow.js lacks). */
export const adam = { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;

/** Uniform numbers in [0, 1): Mulberry32 (Ettinger). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Uniform numbers with mean 0 and deviation `std`: fast to draw, and as good for timing as normal ones. */
export function randomValues(count: number, seed: number, std = 1): Float32Array {
  const next = uniform(seed);
  const width = std * Math.sqrt(12);
  return Float32Array.from({ length: count }, () => (next() - 0.5) * width);
}

/** The name and shape of every weight. */
export function weightShapes({ layers, hidden: H, vocabulary }: PeerModel): [string, number[]][] {
  const norm = (name: string): [string, number[]][] => [
    [`${name}.weight`, [H]],
    [`${name}.bias`, [H]],
  ];
  const dense = (name: string, outputs: number, inputs: number): [string, number[]][] => [
    [`${name}.weight`, [outputs, inputs]],
    [`${name}.bias`, [outputs]],
  ];
  const layer = (name: string): [string, number[]][] => [
    ...['query', 'key', 'value'].flatMap((part) => dense(`${name}.attention.self.${part}`, H, H)),
    ...dense(`${name}.attention.output.dense`, H, H),
    ...norm(`${name}.attention.output.LayerNorm`),
    ...dense(`${name}.intermediate.dense`, 4 * H, H),
    ...dense(`${name}.output.dense`, H, 4 * H),
    ...norm(`${name}.output.LayerNorm`),
  ];
  return [
    ['bert.embeddings.word_embeddings.weight', [vocabulary, H]],
    ['bert.embeddings.position_embeddings.weight', [POSITIONS, H]],
    ['bert.embeddings.token_type_embeddings.weight', [2, H]],
    ...norm('bert.embeddings.LayerNorm'),
    ...Array.from({ length: layers }, (_, i) => layer(`bert.encoder.layer.${i}`)).flat(),
    ...dense('bert.pooler.dense', H, H),
    ...dense('classifier', CLASSES, H),
  ];
}

/** Draws larger weights than a fresh model's, so that attention is not flat and mistakes show. */
function drawWeight(name: string, shape: readonly number[], seed: number): HostTensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const values = randomValues(count, seed, name.startsWith('classifier') ? 0.3 : 0.05);
  if (name.endsWith('LayerNorm.weight')) for (let i = 0; i < count; i += 1) values[i]! += 1;
  return { shape, values };
}

/** Texts of the given numbers of tokens, padded to the longest; labels alternate. */
function makeBatch(lengths: readonly number[], length: number, vocabulary: number): Batch {
  const size = lengths.length;
  return {
    size,
    length,
    ids: Int32Array.from({ length: size * length }, (_, i) => 1000 + ((i * 7919) % (vocabulary - 1000))),
    mask: Int32Array.from({ length: size * length }, (_, i) =>
      i % length < lengths[Math.floor(i / length)]! ? 1 : 0,
    ),
    labels: Int32Array.from({ length: size }, (_, i) => i % CLASSES),
  };
}

function jobOf(model: PeerModel, batches: readonly Batch[]): PeerJob {
  const shapes = weightShapes(model);
  const weights = new Map(shapes.map(([name, shape], i) => [name, drawWeight(name, shape, i + 1)]));
  return { model, weights, batch: batches[0]!, batches };
}

/** A batch of texts of 5/8 of `length` up to `length`. */
export function makeJob(model: PeerModel, size: number, length: number): PeerJob {
  const lengths = Array.from({ length: size }, (_, i) => length - Math.floor((i * 3 * length) / (8 * size)));
  return jobOf(model, [makeBatch(lengths, length, model.vocabulary)]);
}

const TEXTS_IN_BATCH = 32;

/** Texts of 6 to 63 tokens, 25 on average, as sentences are, in batches of 32 in their order. */
export function makeTexts(model: PeerModel, count: number): PeerJob {
  const next = uniform(1);
  const lengths = Array.from({ length: count }, () => 6 + Math.floor(58 * next() ** 2));
  const batches = Array.from({ length: Math.ceil(count / TEXTS_IN_BATCH) }, (_, i) => {
    const some = lengths.slice(i * TEXTS_IN_BATCH, (i + 1) * TEXTS_IN_BATCH);
    return makeBatch(some, Math.max(...some), model.vocabulary);
  });
  return jobOf(model, batches);
}

/** Transposes dense weights for libraries that store them as [in, out]; leaves everything else unchanged. */
export function inputsFirst(name: string, { shape, values }: HostTensor): HostTensor {
  if (shape.length !== 2 || name.includes('embeddings')) return { shape, values };
  const [rows, cols] = shape as [number, number];
  const turned = new Float32Array(values.length);
  for (let i = 0; i < rows; i += 1)
    for (let j = 0; j < cols; j += 1) turned[j * rows + i] = values[i * cols + j]!;
  return { shape: [cols, rows], values: turned };
}

/** The mask as numbers to add to the scores. */
export function maskBias({ mask }: Batch): Float32Array {
  return Float32Array.from(mask, (kept) => (kept === 1 ? 0 : MASKED));
}
