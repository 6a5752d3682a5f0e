/** Vectors whose first numbers serve alone (Kusupati et al., "Matryoshka Representation Learning", 2022). */
import { ConfigError } from '../../errors.ts';
import { check, checkOptions, type OptionNames } from '../../options.ts';
import { add, scale } from '../../tensor/ops/elementwise.ts';
import { normalize } from '../../tensor/ops/text-vectors.ts';
import { narrow } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { SentenceInputs, SentenceTransformer } from '../sentence-transformer.ts';
import { type LabelKind, SentenceLoss } from './loss.ts';

export interface MatryoshkaOptions {
  /** Lengths of the shortened vectors; the model's own should be one of them. */
  matryoshkaDims: readonly number[];
  /** Default: 1 each. */
  matryoshkaWeights?: readonly number[];
}

const names: OptionNames<MatryoshkaOptions> = { matryoshkaDims: true, matryoshkaWeights: true };

/** Σ weight · loss of the vectors' first numbers, normalized, over several lengths. */
export class MatryoshkaLoss extends SentenceLoss {
  override readonly columns: readonly [number, number];
  override readonly labels: LabelKind;
  private readonly parts: readonly { dim: number; weight: number }[];

  constructor(
    model: SentenceTransformer,
    readonly loss: SentenceLoss,
    options: MatryoshkaOptions,
  ) {
    super(model);
    checkOptions('MatryoshkaLoss', options, names, { nDimsPerStep: 'leave it out: all are used' });
    const { matryoshkaDims: dims, matryoshkaWeights: weights = dims.map(() => 1) } = options;
    const most = model.embeddingDimension;
    const whole = dims.length > 0 && dims.every((dim) => Number.isInteger(dim) && dim >= 1 && dim <= most);
    check('matryoshkaDims', `[${dims.join()}]`, whole, `use whole numbers from 1 to the model's ${most}`);
    if (weights.length !== dims.length)
      throw new ConfigError(
        `there are ${weights.length} matryoshkaWeights for ${dims.length} matryoshkaDims`,
        {
          remedy: 'give as many',
        },
      );
    this.columns = loss.columns;
    this.labels = loss.labels;
    this.parts = dims.map((dim, at) => ({ dim, weight: weights[at]! }));
  }

  override get name(): string {
    return `MatryoshkaLoss of ${this.loss.name}`;
  }

  override embed(inputs: SentenceInputs): Tensor {
    return this.loss.embed(inputs);
  }

  protected override compute(embeddings: Tensor, labels: Tensor | undefined): Tensor {
    return this.parts
      .map(({ dim, weight }) => {
        const shortened = normalize(narrow(embeddings, 2, 0, dim));
        return scale(this.loss.computeLossFromEmbeddings(shortened, labels), weight);
      })
      .reduce((total, loss) => add(total, loss));
  }
}
