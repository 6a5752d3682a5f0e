/** Losses that rank a text's match before the other texts of a batch. */
import { type Advice, check, checkChoice, checkOptions } from '../../options.ts';
import { checkpoint } from '../../tensor/checkpoint.ts';
import { add, scale } from '../../tensor/ops/elementwise.ts';
import { crossEntropy } from '../../tensor/ops/loss.ts';
import { takeRows } from '../../tensor/ops/rows.ts';
import { narrow, permute, reshape } from '../../tensor/ops/view.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { SentenceInputs, SentenceTransformer } from '../sentence-transformer.ts';
import { column, cosSim, dotScore, SentenceLoss, type Taken } from './loss.ts';

export interface NegativesOptions {
  /** Factor of the similarities, 1 / temperature. Default 20. */
  scale?: number;
  /** Default `cosSim`. */
  similarityFct?: 'cosSim' | 'dotScore';
}

const advice: Advice = {
  directions: 'leave it out: queries are compared with documents',
  gatherAcrossDevices: 'leave it out: there is one device',
  hardnessMode: 'leave it out: all negatives weigh the same',
  miniBatchSize: 'CachedMultipleNegativesRankingLoss has it',
};

const names = { scale: true, similarityFct: true } as const;

/**
 * Cross-entropy of each anchor's match among all matches and negatives of the batch (Henderson et al., 2017).
 * Columns: anchors, matches, and any number of hard negatives.
 */
export class MultipleNegativesRankingLoss extends SentenceLoss {
  static readonly takes: Taken = { columns: [2, Number.POSITIVE_INFINITY], labels: 'none' };
  override readonly columns = MultipleNegativesRankingLoss.takes.columns;
  override readonly labels = MultipleNegativesRankingLoss.takes.labels;
  readonly scale: number;
  private readonly similarity: (a: Tensor, b: Tensor) => Tensor;

  constructor(model: SentenceTransformer, options: NegativesOptions = {}) {
    super(model);
    checkOptions<NegativesOptions>('MultipleNegativesRankingLoss', options, names, advice);
    const { scale: factor = 20, similarityFct } = options;
    check('scale', factor, factor > 0, 'use a positive number');
    checkChoice('similarityFct', similarityFct, ['cosSim', 'dotScore']);
    this.scale = factor;
    this.similarity = similarityFct === 'dotScore' ? dotScore : cosSim;
  }

  protected override compute(embeddings: Tensor): Tensor {
    const [examples, columns, width] = embeddings.shape as [number, number, number];
    // All matches first, then each column of negatives.
    const others = permute(narrow(embeddings, 1, 1, columns - 1), [1, 0, 2]);
    const scores = this.similarity(column(embeddings, 0), reshape(others, [-1, width]));
    const targets = Int32Array.from({ length: examples }, (_, row) => row);
    return crossEntropy(scale(scores, this.scale), embeddings.device.tensor(targets));
  }
}

export interface CachedNegativesOptions extends NegativesOptions {
  /** Texts computed at once. Default 32. */
  miniBatchSize?: number;
}

/**
 * `MultipleNegativesRankingLoss` whose memory does not grow with the batch (Gao et al., "Scaling Deep
 * Contrastive Learning Batch Size under Memory Limited Setup", 2021): texts are computed in mini-batches, and
 * once more for their gradients. The same loss and gradients, for about a third more time.
 */
export class CachedMultipleNegativesRankingLoss extends MultipleNegativesRankingLoss {
  readonly miniBatchSize: number;

  constructor(model: SentenceTransformer, options: CachedNegativesOptions = {}) {
    checkOptions<CachedNegativesOptions>(
      'CachedMultipleNegativesRankingLoss',
      options,
      { ...names, miniBatchSize: true },
      { ...advice, miniBatchNumTokens: 'pass miniBatchSize' },
    );
    const { miniBatchSize = 32, ...others } = options;
    check(
      'miniBatchSize',
      miniBatchSize,
      Number.isInteger(miniBatchSize) && miniBatchSize >= 1,
      'use a whole number of 1 or more',
    );
    super(model, others);
    this.miniBatchSize = miniBatchSize;
  }

  override embed(inputs: SentenceInputs): Tensor {
    return embedInParts(this.model, inputs, this.miniBatchSize);
  }
}

/** Embeddings [B, C, H], computed `size` texts at a time without keeping activations. */
function embedInParts(model: SentenceTransformer, inputs: SentenceInputs, size: number): Tensor {
  const { device } = model;
  const [examples, columns, length] = inputs.inputIds.shape as [number, number, number];
  const texts = examples * columns;
  let all: Tensor | null = null;
  for (let first = 0; first < texts; first += size) {
    const count = Math.min(size, texts - first);
    const part = checkpoint(
      device,
      () => model.forward(partOf(inputs, { first, count, length })).sentenceEmbedding,
    );
    // Rows of zeros before and after, so that the parts add up to the whole.
    const rows = Int32Array.from({ length: texts }, (_, row) =>
      row >= first && row < first + count ? row - first : -1,
    );
    const back = Int32Array.from({ length: count }, (_, row) => first + row);
    const placed = takeRows(part, device.tensor(rows), device.tensor(back));
    all = all === null ? placed : add(all, placed);
  }
  return reshape(all!, [examples, columns, -1]);
}

/** Some texts of a batch, without the padding that all of them have at the end. */
function partOf(
  inputs: SentenceInputs,
  { first, count, length }: { first: number; count: number; length: number },
): SentenceInputs {
  const cut = (values: Int32Array) => values.subarray(first * length, (first + count) * length);
  const mask = inputs.attentionMask?.integers;
  let longest = length;
  if (mask) {
    const columns = (at: number) => Array.from({ length: count }, (_, row) => cut(mask)[row * length + at]);
    while (longest > 1 && columns(longest - 1).every((one) => one === 0)) longest -= 1;
  }
  const entries = Object.entries(inputs).map(([name, value]: [string, unknown]) => {
    const values = value instanceof Tensor ? value.integers : null;
    if (!(value instanceof Tensor) || values === null) return [name, value];
    const rows = Array.from({ length: count }, (_, row) =>
      cut(values).subarray(row * length, row * length + longest),
    );
    const part = new Int32Array(count * longest);
    for (const [row, tokens] of rows.entries()) part.set(tokens, row * longest);
    return [name, value.device.tensor(part, [count, longest])];
  });
  return Object.fromEntries(entries) as unknown as SentenceInputs;
}
