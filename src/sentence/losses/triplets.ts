/** Losses of distances: a match should be nearer than another text, by a margin. */
import { hostValues } from '../../models/common/inputs.ts';
import { checkChoice, checkOptions, type OptionNames } from '../../options.ts';
import { add, div, mul, relu, scale, sub } from '../../tensor/ops/elementwise.ts';
import { mean, sum } from '../../tensor/ops/reduction.ts';
import { reshape } from '../../tensor/ops/view.ts';
import { noGrad } from '../../tensor/tape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { SentenceTransformer } from '../sentence-transformer.ts';
import { column, type DistanceMetric, distances, norm, SentenceLoss, type Taken } from './loss.ts';

export interface TripletOptions {
  /** Default `euclidean`. */
  distanceMetric?: DistanceMetric;
  /** Default 5. */
  tripletMargin?: number;
}

const tripletNames: OptionNames<TripletOptions> = { distanceMetric: true, tripletMargin: true };

/** mean max(0, d(anchor, match) − d(anchor, other) + margin). Columns: anchors, matches, others. */
export class TripletLoss extends SentenceLoss {
  static readonly takes: Taken = { columns: [3, 3], labels: 'none' };
  override readonly columns = TripletLoss.takes.columns;
  override readonly labels = TripletLoss.takes.labels;
  readonly distanceMetric: DistanceMetric;
  readonly tripletMargin: number;

  constructor(model: SentenceTransformer, options: TripletOptions = {}) {
    super(model);
    checkOptions('TripletLoss', options, tripletNames);
    checkChoice('distanceMetric', options.distanceMetric, Object.keys(distances));
    this.distanceMetric = options.distanceMetric ?? 'euclidean';
    this.tripletMargin = options.tripletMargin ?? 5;
  }

  protected override compute(embeddings: Tensor): Tensor {
    const [anchors, matches, others] = [0, 1, 2].map((at) => column(embeddings, at));
    const distance = distances[this.distanceMetric];
    const excess = sub(distance(anchors!, matches!), distance(anchors!, others!));
    return mean(relu(scale(excess, 1, this.tripletMargin)));
  }
}

/** Less than a counted triplet's loss; more than rounding leaves of none. */
const TINY = 1e-30;

/**
 * `TripletLoss` of all triplets in a batch, two texts of a class and one of another, as the mean over those
 * whose loss is not 0 (Hermans et al., "In Defense of the Triplet Loss", 2017). One column of texts, each
 * with a class; a batch should have several texts of a class. Memory grows with the cube of the batch.
 */
export class BatchAllTripletLoss extends SentenceLoss {
  static readonly takes: Taken = { columns: [1, 1], labels: 'classes' };
  override readonly columns = BatchAllTripletLoss.takes.columns;
  override readonly labels = BatchAllTripletLoss.takes.labels;
  readonly margin: number;

  /** `margin`: default 5. */
  constructor(model: SentenceTransformer, options: { margin?: number } = {}) {
    super(model);
    checkOptions<{ margin?: number }>('BatchAllTripletLoss', options, { margin: true });
    this.margin = options.margin ?? 5;
  }

  protected override compute(embeddings: Tensor, labels: Tensor): Tensor {
    const { device } = embeddings;
    const texts = column(embeddings, 0);
    const [n, width] = texts.shape as [number, number];
    const apart = norm(sub(reshape(texts, [n, 1, width]), reshape(texts, [1, n, width])));
    const excess = sub(reshape(apart, [n, n, 1]), reshape(apart, [n, 1, n]));
    const counted = device.tensor(tripletMask(hostValues('BatchAllTripletLoss: labels', labels)), [n, n, n]);
    const losses = mul(relu(scale(excess, 1, this.margin)), counted);
    const count = noGrad(() => {
      const positive = losses.detach();
      return sum(div(positive, scale(positive, 1, TINY)));
    });
    return div(sum(losses), add(count, device.tensor(Float32Array.of(TINY), [])));
  }
}

/** 1 for an anchor, a text of its class that is not itself, and a text of another class. */
function tripletMask(classes: Int32Array): Float32Array {
  const n = classes.length;
  const mask = new Float32Array(n ** 3);
  for (let anchor = 0; anchor < n; anchor += 1)
    for (let match = 0; match < n; match += 1) {
      if (match === anchor || classes[match] !== classes[anchor]) continue;
      for (let other = 0; other < n; other += 1)
        mask[(anchor * n + match) * n + other] = Number(classes[other] !== classes[anchor]);
    }
  return mask;
}
