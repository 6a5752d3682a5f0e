/** Losses of pairs with scores. */
import { type Advice, check, checkOptions } from '../../options.ts';
import { add, div, relu, scale, sub } from '../../tensor/ops/elementwise.ts';
import { crossEntropy, mseLoss } from '../../tensor/ops/loss.ts';
import { reshape } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { SentenceTransformer } from '../sentence-transformer.ts';
import { column, pairwiseCosSim, SentenceLoss, type Taken } from './loss.ts';

const advice: Advice = {
  lossFct: 'leave it out: it is the mean squared error',
  cosScoreTransformation: 'leave it out: there is none',
  similarityFct: 'leave it out: it is the cosine',
};

/** mean (cos(a, b) − score)². Columns: two texts; scores from −1 to 1. */
export class CosineSimilarityLoss extends SentenceLoss {
  static readonly takes: Taken = { columns: [2, 2], labels: 'scores' };
  override readonly columns = CosineSimilarityLoss.takes.columns;
  override readonly labels = CosineSimilarityLoss.takes.labels;

  constructor(model: SentenceTransformer, options: Record<string, never> = {}) {
    super(model);
    checkOptions('CosineSimilarityLoss', options, {}, advice);
  }

  protected override compute(embeddings: Tensor, scores: Tensor): Tensor {
    return mseLoss(pairwiseCosSim(column(embeddings, 0), column(embeddings, 1)), scores);
  }
}

/** Less than any difference of two float32 scores that are told apart, and not rounded to 0. */
const TINY = 1e-30;
/** Added to what does not count: e^(−10¹²) is 0. */
const EXCLUDED = 1e12;

/**
 * log(1 + Σ e^(scale · (cosᵢ − cosⱼ))) over all pairs of examples with scoreᵢ < scoreⱼ (Su, "CoSENT", 2022).
 * Columns: two texts; only the order of the scores counts.
 */
export class CoSENTLoss extends SentenceLoss {
  static readonly takes: Taken = { columns: [2, 2], labels: 'scores' };
  override readonly columns = CoSENTLoss.takes.columns;
  override readonly labels = CoSENTLoss.takes.labels;
  readonly scale: number;

  /** `scale`: default 20. */
  constructor(model: SentenceTransformer, options: { scale?: number } = {}) {
    super(model);
    checkOptions<{ scale?: number }>('CoSENTLoss', options, { scale: true }, advice);
    this.scale = options.scale ?? 20;
    check('CoSENTLoss: scale', this.scale, this.scale > 0, 'use a positive number');
  }

  protected override compute(embeddings: Tensor, scores: Tensor): Tensor {
    const { device } = embeddings;
    const n = scores.size;
    const cosines = scale(pairwiseCosSim(column(embeddings, 0), column(embeddings, 1)), this.scale);
    const differences = sub(reshape(cosines, [n, 1]), reshape(cosines, [1, n]));
    const above = relu(sub(reshape(scores, [1, n]), reshape(scores, [n, 1])));
    const counts = div(above, scale(above, 1, TINY));
    // The 1 under the logarithm is e⁰: the first example's difference from itself.
    const one = new Float32Array(n * n);
    one[0] = 1;
    const mask = scale(add(counts, device.tensor(one, [n, n])), EXCLUDED, -EXCLUDED);
    // log Σ e^x = −log softmax(x)₀, as x₀ = 0.
    return crossEntropy(reshape(add(differences, mask), [1, n * n]), device.tensor(Int32Array.of(0)));
  }
}
