/** `SentenceLoss`: what all losses of embeddings have in common. B examples, C columns, H numbers of a vector. */
import { DataError } from '../../errors.ts';
import { withoutAutocast } from '../../tensor/autocast.ts';
import { mul, relu, scale, sub } from '../../tensor/ops/elementwise.ts';
import { matmul } from '../../tensor/ops/matmul.ts';
import { sum } from '../../tensor/ops/reduction.ts';
import { normalize } from '../../tensor/ops/text-vectors.ts';
import { select } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { ComputeLoss } from '../../train/predict.ts';
import type { SentenceInputs, SentenceTransformer } from '../sentence-transformer.ts';

/** What labels a loss takes: none, a float32 score or an int32 class for each example. */
export type LabelKind = 'none' | 'scores' | 'classes';

/** The data that a loss takes. */
export interface Taken {
  /** Least and most columns of texts. */
  readonly columns: readonly [number, number];
  readonly labels: LabelKind;
}

export function takes(
  { columns: [least, most], labels: kind }: Taken,
  columns: number,
  labels: LabelKind,
): boolean {
  return columns >= least && columns <= most && labels === kind;
}

export interface SentenceLossInputs extends SentenceInputs {
  labels?: Tensor | undefined;
}

export interface SentenceLossOutput {
  loss: Tensor;
  /** [B, C, H] */
  sentenceEmbedding: Tensor;
}

export abstract class SentenceLoss implements Taken {
  /** Least and most columns of texts. */
  abstract readonly columns: readonly [number, number];
  abstract readonly labels: LabelKind;

  constructor(readonly model: SentenceTransformer) {}

  /** Python's name of the class. */
  get name(): string {
    return this.constructor.name;
  }

  /** A scalar of embeddings [B, C, H]; labels [B]. */
  protected abstract compute(embeddings: Tensor, labels: Tensor | undefined): Tensor;

  /** Whether a batch has the columns and the labels that the loss takes. */
  fits(columns: number, labels: LabelKind): boolean {
    return takes(this, columns, labels);
  }

  /** A scalar of embeddings [B, C, H]; labels [B]. Throws `DataError` if they do not fit the loss. */
  computeLossFromEmbeddings(embeddings: Tensor, labels?: Tensor): Tensor {
    const kind = labels === undefined ? 'none' : labels.dtype === 'int32' ? 'classes' : 'scores';
    const columns = embeddings.shape[1]!;
    if (embeddings.rank !== 3 || !this.fits(columns, kind)) {
      const [least, most] = this.columns;
      const range = least === most ? `${least}` : most === Number.POSITIVE_INFINITY ? `${least} or more` : '';
      const wanted = { none: 'no labels', scores: 'a score', classes: 'a class' }[this.labels];
      throw new DataError(
        `${this.name} takes ${range || `${least} to ${most}`} columns of texts and ${wanted}; there are ${columns}, with ${{ none: 'no labels', scores: 'scores', classes: 'classes' }[kind]}`,
        { remedy: 'choose another loss, or mend the data' },
      );
    }
    return withoutAutocast(() => this.compute(embeddings, labels));
  }

  /** Embeddings [B, C, H] of a batch. */
  embed(inputs: SentenceInputs): Tensor {
    return this.model.forward(inputs).sentenceEmbedding;
  }

  /** Inputs int32 [B, C, length]; labels [B]. */
  forward({ labels, ...inputs }: SentenceLossInputs): SentenceLossOutput {
    const sentenceEmbedding = this.embed(inputs);
    return { loss: this.computeLossFromEmbeddings(sentenceEmbedding, labels), sentenceEmbedding };
  }

  /** For the `Trainer`. */
  get computeLoss(): ComputeLoss {
    return (_model, inputs) => ({ ...this.forward(inputs as unknown as SentenceLossInputs) });
  }
}

/** One column of embeddings: [B, H]. */
export function column(embeddings: Tensor, at: number): Tensor {
  return select(embeddings, 1, at);
}

/** Cosines of the rows of a [n, H] and of b [m, H]: [n, m]. */
export function cosSim(a: Tensor, b: Tensor): Tensor {
  return dotScore(normalize(a), normalize(b));
}

export function dotScore(a: Tensor, b: Tensor): Tensor {
  return matmul(a, b, { transposeB: true });
}

/** Cosines of the rows of a and of b, one by one: [n]. */
export function pairwiseCosSim(a: Tensor, b: Tensor): Tensor {
  return sum(mul(normalize(a), normalize(b)), -1);
}

/** ‖x‖₂ over the last dimension; its gradient at 0 is 0. */
export function norm(x: Tensor): Tensor {
  return sum(mul(x, normalize(x)), -1);
}

/** Distances of vectors over the last dimension. */
export const distances = {
  cosine: (a: Tensor, b: Tensor) => scale(pairwiseCosSim(a, b), -1, 1),
  euclidean: (a: Tensor, b: Tensor) => norm(sub(a, b)),
  manhattan: (a: Tensor, b: Tensor) => {
    const difference = sub(a, b);
    return sum(sub(relu(difference), scale(relu(scale(difference, -1)), -1)), -1);
  },
};

export type DistanceMetric = keyof typeof distances;
