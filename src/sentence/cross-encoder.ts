/** `CrossEncoder`: how well two texts go together, from both at once, as in Python's sentence-transformers. */
import { ConfigError } from '../errors.ts';
import { AutoModelForSequenceClassification } from '../models/auto.ts';
import type { LoadOptions } from '../models/files/load.ts';
import { checkChoice, checkOptions, type OptionNames } from '../options.ts';
import { AutoTokenizer } from '../text/auto.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { predictBatches, type TrainableModel } from '../train/predict.ts';
import { batchesByLength, checkBatchSize } from './batches.ts';

export type ScoreActivation = 'sigmoid' | 'identity';

const activations: Record<ScoreActivation, (x: number) => number> = {
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  identity: (x) => x,
};

export interface ScoreOptions {
  /** Pairs in a batch. Default 32. */
  batchSize?: number;
  /** Default: the model's. */
  activationFn?: ScoreActivation;
}

const scoreNames: OptionNames<ScoreOptions> = { batchSize: true, activationFn: true };

export interface RankOptions extends ScoreOptions {
  /** How many documents to give. Default: all. */
  topK?: number;
  /** Whether to give the texts too. Default false. */
  returnDocuments?: boolean;
}

const rankNames: OptionNames<RankOptions> = { ...scoreNames, topK: true, returnDocuments: true };

export interface Ranked {
  /** Index of the document. */
  corpusId: number;
  score: number;
  text?: string;
}

export class CrossEncoder {
  /** Of scores: the sigmoid for one label unless config.json names another. */
  readonly activationFn: ScoreActivation;

  /** Around a model of sequence classification, to be trained as one. */
  constructor(
    readonly model: TrainableModel,
    readonly tokenizer: PreTrainedTokenizer,
  ) {
    this.activationFn = activationOf(model);
  }

  /** Throws as `AutoModelForSequenceClassification` does, and `ConfigError` for an unknown activation. */
  static async fromPretrained(idOrFolder: string, options: LoadOptions = {}): Promise<CrossEncoder> {
    const model = await AutoModelForSequenceClassification.fromPretrained(idOrFolder, options);
    return new CrossEncoder(model as TrainableModel, await AutoTokenizer.fromPretrained(idOrFolder));
  }

  /** The numbers of labels of a pair. */
  get numLabels(): number {
    return this.model.config.numLabels;
  }

  /** A score for each pair; `numLabels` scores each, one after the other, if there are several. */
  async predict(
    pairs: readonly (readonly [string, string])[],
    options: ScoreOptions = {},
  ): Promise<Float32Array> {
    checkOptions('CrossEncoder.predict', options, scoreNames);
    const { batchSize = 32, activationFn = this.activationFn } = options;
    checkBatchSize('batchSize', batchSize);
    checkChoice('activationFn', activationFn, Object.keys(activations));
    const { tokenizer, numLabels } = this;
    const maxLength = Math.min(tokenizer.modelMaxLength, this.model.base.maxLength);
    const encoded = pairs.map(([a, b]) => tokenizer.encode(a, b, { truncation: true, maxLength }));
    const batches = batchesByLength(encoded, tokenizer, batchSize);
    const scores = new Float32Array(pairs.length * numLabels);
    for await (const { batch, logits } of predictBatches(this.model, batches))
      for (const [row, index] of batch.indices.entries())
        for (let label = 0; label < numLabels; label += 1)
          scores[index * numLabels + label] = activations[activationFn](logits[row * numLabels + label]!);
    return scores;
  }

  /** Documents by how well they go with a query, best first. Throws `ConfigError` if a pair has several scores. */
  async rank(query: string, documents: readonly string[], options: RankOptions = {}): Promise<Ranked[]> {
    checkOptions('CrossEncoder.rank', options, rankNames);
    const { topK = documents.length, returnDocuments = false, ...others } = options;
    if (this.numLabels !== 1)
      throw new ConfigError(`rank: the model gives ${this.numLabels} scores for a pair`, {
        remedy: 'use a model with one label',
      });
    const scores = await this.predict(
      documents.map((text) => [query, text] as const),
      others,
    );
    return [...documents.keys()]
      .sort((a, b) => scores[b]! - scores[a]!)
      .slice(0, topK)
      .map((corpusId) => ({
        corpusId,
        score: scores[corpusId]!,
        ...(returnDocuments && { text: documents[corpusId]! }),
      }));
  }

  dispose(): void {
    this.model.dispose();
  }
}

/** The activation that config.json names, now or in sentence-transformers before 4. */
function activationOf({ config }: TrainableModel): ScoreActivation {
  const { sentence_transformers: own, sbert_ce_default_activation_function: old } = config.raw as {
    sentence_transformers?: { activation_fn?: string };
    sbert_ce_default_activation_function?: string;
  };
  const named = own?.activation_fn ?? old ?? null;
  if (named === null) return config.numLabels === 1 ? 'sigmoid' : 'identity';
  const found = /(Sigmoid|Identity)$/.exec(named)?.[1]?.toLowerCase();
  if (found !== undefined) return found as ScoreActivation;
  throw new ConfigError(`config.json: the activation '${named}' is not supported`, {
    remedy: 'there are torch.nn.modules.activation.Sigmoid and torch.nn.modules.linear.Identity',
  });
}
