/** Collators: they turn examples into padded batches. */

import { DataError } from '../errors.ts';
import { type Advice, check, checkOptions, type OptionNames } from '../options.ts';
import { IGNORED } from '../tensor/ops/loss.ts';
import type { Example } from './dataset.ts';
import { checkExample, checkKeys, checkLabel, checkPadding, checkPosition } from './example-checks.ts';
import { Random } from './random.ts';

/** Values of a tensor, row-major. An `Int32Array` becomes int32, a `Float32Array` float32. */
export type BatchArray = Int32Array | Float32Array;

/** Arrays by the names that the model's `forward` takes, and what describes them. Any names are allowed. */
export interface Batch {
  [name: string]: unknown;
  /** Usually [batch, length]: the shape of every array with as many values that `shapes` does not name. */
  shape: readonly number[];
  /** Shapes of other arrays by name; an array in neither is flat, [n]. */
  shapes?: Readonly<Record<string, readonly number[]>>;
  /** Indices of the examples in the dataset. */
  indices?: readonly number[];
  /**
   * The number of things that the loss is a mean over: the batch's weight in a mean over several batches.
   * Default: counted from the labels.
   */
  lossWeight?: number;
}

/** A batch from one of the collators below; arrays are [batch, length] unless stated otherwise. */
export interface PaddedBatch extends Batch {
  inputIds: Int32Array;
  /** 1 for a token, 0 for padding. */
  attentionMask: Int32Array;
  tokenTypeIds: Int32Array;
  /** int32 classes, or float32 values and indicators; `shapes` has their shape. */
  labels?: Int32Array | Float32Array;
  /** int32 [n]: flat positions of the `labels`, if only some tokens are predicted. */
  positions?: Int32Array;
  /** int32 [batch]: first and last token of the answers. */
  startPositions?: Int32Array;
  endPositions?: Int32Array;
  shape: [number, number];
  indices: number[];
}

export type Collator<E = Example, B extends Batch = PaddedBatch> = (
  examples: readonly E[],
  indices: readonly number[],
) => B;

export interface PaddingOptions {
  padTokenId: number;
  padToMultipleOf?: number;
  /** Default 'right'. */
  paddingSide?: 'left' | 'right';
}

const paddingOptionNames: OptionNames<PaddingOptions> = {
  padTokenId: true,
  padToMultipleOf: true,
  paddingSide: true,
};

/** Remedies for options that transformers' collators have. */
const advice: Advice = {
  tokenizer: 'pass padTokenId and what else is wanted of it',
  mlm: 'leave it out: tokens are always masked',
  labelPadTokenId: 'leave it out: it is -100',
  maxLength: 'pass it to encode or encodeTable',
  returnTensors: 'leave it out: toTensors(device, batch) makes tensors',
};

/** The flat index at which an example of `count` tokens begins in a row. */
function startOf(
  row: number,
  length: number,
  count: number,
  { paddingSide = 'right' }: PaddingOptions,
): number {
  return row * length + (paddingSide === 'left' ? length - count : 0);
}

/** Pads to the longest example, token types with 0. Throws `DataError` for an example that cannot be used. */
function padInputs(
  examples: readonly Example[],
  indices: readonly number[],
  options: PaddingOptions,
): PaddedBatch {
  const { padTokenId, padToMultipleOf = 1 } = options;
  for (const [row, example] of examples.entries()) {
    const index = indices[row] ?? row;
    // Check names first: a wrong name is often why the right one is missing.
    if (typeof example === 'object' && example !== null) checkKeys(example, index);
    checkExample(example, index);
  }
  const longest = examples.reduce((most, { inputIds }) => Math.max(most, inputIds.length), 1);
  const length = Math.ceil(longest / padToMultipleOf) * padToMultipleOf;
  const size = examples.length * length;
  const batch: PaddedBatch = {
    inputIds: new Int32Array(size).fill(padTokenId),
    attentionMask: new Int32Array(size),
    tokenTypeIds: new Int32Array(size),
    shape: [examples.length, length],
    indices: [...indices],
  };
  for (const [row, { inputIds, tokenTypeIds }] of examples.entries()) {
    const start = startOf(row, length, inputIds.length, options);
    batch.inputIds.set(inputIds, start);
    batch.attentionMask.fill(1, start, start + inputIds.length);
    if (tokenTypeIds !== undefined) batch.tokenTypeIds.set(tokenTypeIds, start);
  }
  return batch;
}

/** Adds labels of whole texts, as documented at `dataCollatorWithPadding`. */
function addLabels(
  batch: PaddedBatch,
  examples: readonly Example[],
  indices: readonly number[],
  floatLabels: boolean,
): void {
  const labels = examples.map(({ label }) => label).filter((label) => label !== undefined);
  if (labels.length === 0) return;
  if (labels.length !== examples.length)
    throw new DataError('some examples of a batch have labels, others not');
  const width = Array.isArray(labels[0]) ? labels[0].length : null;
  if (labels.some((label) => (Array.isArray(label) ? label.length : null) !== width))
    throw new DataError('the labels of a batch are not alike', {
      remedy: 'give each example one number, or as many indicators as the others',
    });
  const flat = labels.flat();
  const float = floatLabels || width !== null;
  for (const [row, label] of labels.entries())
    for (const value of [label].flat()) checkLabel(value, float, indices[row] ?? row);
  batch.labels = float ? Float32Array.from(flat) : Int32Array.from(flat);
  batch.shapes = { labels: width === null ? [examples.length] : [examples.length, width] };
}

/**
 * Adds answers, counted in the padded row. One past the example's last token gets the row's length, which
 * losses ignore.
 */
function addSpans(
  batch: PaddedBatch,
  examples: readonly Example[],
  indices: readonly number[],
  options: PaddingOptions,
): void {
  const [rows, length] = batch.shape;
  for (const name of ['startPositions', 'endPositions'] as const) {
    const given = examples.filter((example) => example[name] !== undefined && example[name] !== null);
    if (given.length === 0) continue;
    if (given.length !== rows) throw new DataError(`some examples of a batch have ${name}, others not`);
    batch[name] = Int32Array.from(examples, (example, row) => {
      const position = example[name]!;
      checkPosition(name, position, indices[row] ?? row);
      const count = example.inputIds.length;
      return position < count ? position + startOf(0, length, count, options) : length;
    });
    batch.shapes = { ...batch.shapes, [name]: [rows] };
  }
}

/**
 * Pads inputs, and puts labels of whole texts and answers through. Labels: classes as int32 [batch]; values,
 * with `floatLabels`, as float32 [batch]; indicators as float32 [batch, classes]. Answers (`startPositions`,
 * `endPositions`): int32 [batch]; a position past the example's last token does not count in the loss. Throws
 * `DataError` if a batch mixes kinds of labels, or for a class or position that is not a whole number;
 * `ConfigError` for invalid padding.
 */
export function dataCollatorWithPadding(options: PaddingOptions & { floatLabels?: boolean }): Collator {
  checkOptions('dataCollatorWithPadding', options, { ...paddingOptionNames, floatLabels: true }, advice);
  checkPadding(options);
  return (examples, indices) => {
    const batch = padInputs(examples, indices, options);
    addLabels(batch, examples, indices, options.floatLabels === true);
    addSpans(batch, examples, indices, options);
    return batch;
  };
}

/**
 * Pads inputs, and labels of tokens with −100. Throws `DataError` unless an example has one label a token.
 */
export function dataCollatorForTokenClassification(options: PaddingOptions): Collator {
  checkOptions('dataCollatorForTokenClassification', options, paddingOptionNames, advice);
  checkPadding(options);
  return (examples, indices) => {
    const batch = padInputs(examples, indices, options);
    const [rows, length] = batch.shape;
    const labels = new Int32Array(rows * length).fill(IGNORED);
    for (const [row, { inputIds, label }] of examples.entries()) {
      if (label === undefined) continue;
      if (!Array.isArray(label) || label.length !== inputIds.length) {
        const count = Array.isArray(label) ? label.length : 1;
        throw new DataError(`example ${indices[row]}: labels: ${count}, tokens: ${inputIds.length}`, {
          remedy: 'give one label a token, −100 where none counts',
        });
      }
      for (const value of label) checkLabel(value, false, indices[row] ?? row);
      labels.set(label, startOf(row, length, inputIds.length, options));
    }
    return { ...batch, labels };
  };
}

export interface MaskingOptions extends PaddingOptions {
  maskTokenId: number;
  vocabSize: number;
  /** Never masked. */
  specialIds: readonly number[];
  /** Probability that a token is predicted. Default 0.15. */
  mlmProbability?: number;
  /**
   * Draws words, whose tokens all become the mask; examples need `wordIds`, the word of each token. Default
   * false.
   */
  wholeWordMask?: boolean;
  seed: number;
}

/** A text whose tokens have words; null for special tokens. */
interface WordedExample extends Example {
  wordIds?: readonly (number | null)[];
}

const maskingOptionNames: OptionNames<MaskingOptions> = {
  ...paddingOptionNames,
  maskTokenId: true,
  vocabSize: true,
  specialIds: true,
  mlmProbability: true,
  wholeWordMask: true,
  seed: true,
};

/**
 * Masked language modelling (Devlin et al., 2019): of the chosen tokens, 80 % become the mask, 10 % a random
 * token, 10 % stay. Only the chosen `positions` have labels. Every batch draws anew; `stream` numbers the
 * draws.
 */
export function dataCollatorForLanguageModeling(
  options: MaskingOptions,
): (examples: readonly WordedExample[], indices: readonly number[], stream: number) => PaddedBatch {
  checkOptions('dataCollatorForLanguageModeling', options, maskingOptionNames, advice);
  const probability = options.mlmProbability ?? 0.15;
  const between = probability > 0 && probability < 1;
  check('mlmProbability', probability, between, 'use a number between 0 and 1');
  checkPadding(options);
  const special = new Set(options.specialIds);
  const whole = options.wholeWordMask === true;
  return (examples, indices, stream) => {
    const batch = padInputs(examples, indices, options);
    const random = new Random(options.seed, stream);
    const open: number[] = [];
    for (const [at, id] of batch.inputIds.entries())
      if (batch.attentionMask[at] === 1 && !special.has(id)) open.push(at);
    const groups = whole ? wordsOf(batch, open, examples, options) : open.map((at) => [at]);
    let chosen = groups.filter(() => random.uniform() < probability).flat();
    // Predict at least one token: a batch without any would have no loss.
    if (chosen.length === 0 && open.length > 0) chosen = groups[random.integer(groups.length)]!;
    const labels = Int32Array.from(chosen, (at) => batch.inputIds[at]!);
    for (const at of chosen) {
      const draw = whole ? 0 : random.uniform();
      if (draw < 0.8) batch.inputIds[at] = options.maskTokenId;
      else if (draw < 0.9) batch.inputIds[at] = random.integer(options.vocabSize);
    }
    const count = [chosen.length];
    return {
      ...batch,
      labels,
      positions: Int32Array.from(chosen),
      shapes: { labels: count, positions: count },
    };
  };
}

/** The flat positions `open`, by words. Throws `DataError` for an example without words. */
function wordsOf(
  { shape: [, length] }: PaddedBatch,
  open: readonly number[],
  examples: readonly WordedExample[],
  options: PaddingOptions,
): number[][] {
  const words = new Map<string, number[]>();
  for (const at of open) {
    const row = Math.floor(at / length);
    const { inputIds, wordIds } = examples[row]!;
    if (wordIds?.length !== inputIds.length)
      throw new DataError(`wholeWordMask: example ${row} of a batch has no word for each token`, {
        remedy: "pass a tokenizer's wordIds along",
      });
    const key = `${row} ${wordIds[at - startOf(row, length, inputIds.length, options)]}`;
    words.set(key, [...(words.get(key) ?? []), at]);
  }
  return [...words.values()];
}
