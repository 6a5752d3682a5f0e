/** Examples to padded batches. */

import { ConfigError, DataError } from '../errors.ts';
import { type Advice, checkOptions, type OptionNames } from '../options.ts';
import type { Example } from './dataset.ts';
import { checkExample, checkKeys, checkLabel, checkPadding } from './example-checks.ts';
import { Random } from './random.ts';

/** Flat row-major arrays of `shape` = [batch, length]. */
export interface Batch {
  inputIds: Int32Array;
  /** 1 for a token, 0 for padding. */
  attentionMask: Int32Array;
  tokenTypeIds: Int32Array;
  /** Int32 classes, or float32 values and indicators. */
  labels?: Int32Array | Float32Array;
  /** Shape of `labels`. */
  labelShape?: number[];
  /** Flat positions that `labels` are for, where only some are predicted. */
  positions?: Int32Array;
  shape: [number, number];
  /** Where the examples stand in the dataset. */
  indices: number[];
}

export type Collator = (examples: readonly Example[], indices: readonly number[]) => Batch;

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

/** What transformers' collators take besides. */
const advice: Advice = {
  tokenizer: 'pass padTokenId and what else is wanted of it',
  mlm: 'leave it out: tokens are always masked',
  labelPadTokenId: 'leave it out: it is -100',
  maxLength: 'pass it to encode or encodeTable',
  returnTensors: 'leave it out: toTensors(device, batch) makes tensors',
};

/** Where an example of `count` tokens begins in its row. */
function startOf(
  row: number,
  length: number,
  count: number,
  { paddingSide = 'right' }: PaddingOptions,
): number {
  return row * length + (paddingSide === 'left' ? length - count : 0);
}

/** Pads to the longest example, token types with 0. Throws `DataError` for an example that is none. */
function padInputs(examples: readonly Example[], indices: readonly number[], options: PaddingOptions): Batch {
  const { padTokenId, padToMultipleOf = 1 } = options;
  for (const [row, example] of examples.entries()) {
    const index = indices[row] ?? row;
    // A wrong name often is why the right one is missing.
    if (typeof example === 'object' && example !== null) checkKeys(example, index);
    checkExample(example, index);
  }
  const longest = examples.reduce((most, { inputIds }) => Math.max(most, inputIds.length), 1);
  const length = Math.ceil(longest / padToMultipleOf) * padToMultipleOf;
  const size = examples.length * length;
  const batch: Batch = {
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

/**
 * Labels of whole texts: classes as int32 [batch]; with `floatLabels`, values as float32 [batch]; indicators
 * as float32 [batch, classes]. Throws `DataError` where a batch has labels of several kinds, or a class that
 * is no whole number; `ConfigError` for a padding that cannot be.
 */
export function dataCollatorWithPadding(options: PaddingOptions & { floatLabels?: boolean }): Collator {
  checkOptions('dataCollatorWithPadding', options, { ...paddingOptionNames, floatLabels: true }, advice);
  checkPadding(options);
  return (examples, indices) => {
    const batch = padInputs(examples, indices, options);
    const labels = examples.map(({ label }) => label).filter((label) => label !== undefined);
    if (labels.length === 0) return batch;
    if (labels.length !== examples.length)
      throw new DataError('some examples of a batch have labels, others not');
    const width = Array.isArray(labels[0]) ? labels[0].length : null;
    if (labels.some((label) => (Array.isArray(label) ? label.length : null) !== width))
      throw new DataError('the labels of a batch are not alike', {
        remedy: 'give each example one number, or as many indicators as the others',
      });
    const flat = labels.flat();
    const float = options.floatLabels === true || width !== null;
    for (const [row, label] of labels.entries())
      for (const value of [label].flat()) checkLabel(value, float, indices[row] ?? row);
    batch.labels = float ? Float32Array.from(flat) : Int32Array.from(flat);
    batch.labelShape = width === null ? [examples.length] : [examples.length, width];
    return batch;
  };
}

/**
 * Labels of tokens, padded with −100. Throws `DataError` where an example has not as many labels as tokens.
 */
export function dataCollatorForTokenClassification(options: PaddingOptions): Collator {
  checkOptions('dataCollatorForTokenClassification', options, paddingOptionNames, advice);
  checkPadding(options);
  return (examples, indices) => {
    const batch = padInputs(examples, indices, options);
    const [rows, length] = batch.shape;
    const labels = new Int32Array(rows * length).fill(-100);
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
    return { ...batch, labels, labelShape: [rows, length] };
  };
}

export interface MaskingOptions extends PaddingOptions {
  maskTokenId: number;
  vocabSize: number;
  /** Never masked. */
  specialIds: readonly number[];
  /** Share of tokens to predict. Default 0.15. */
  mlmProbability?: number;
  seed: number;
}

const maskingOptionNames: OptionNames<MaskingOptions> = {
  ...paddingOptionNames,
  maskTokenId: true,
  vocabSize: true,
  specialIds: true,
  mlmProbability: true,
  seed: true,
};

/**
 * Masked language modelling (Devlin et al., 2019): of the tokens chosen, 80 % become the mask, 10 % another
 * token, 10 % stay. Labels are given for the chosen positions only. Every batch draws anew; `stream` says
 * which draw.
 */
export function dataCollatorForLanguageModeling(
  options: MaskingOptions,
): (examples: readonly Example[], indices: readonly number[], stream: number) => Batch {
  checkOptions('dataCollatorForLanguageModeling', options, maskingOptionNames, advice);
  const probability = options.mlmProbability ?? 0.15;
  if (!(probability > 0 && probability < 1))
    throw new ConfigError(`mlmProbability is ${probability}`, { remedy: 'use a number between 0 and 1' });
  checkPadding(options);
  const special = new Set(options.specialIds);
  return (examples, indices, stream) => {
    const batch = padInputs(examples, indices, options);
    const random = new Random(options.seed, stream);
    const open: number[] = [];
    for (const [at, id] of batch.inputIds.entries())
      if (batch.attentionMask[at] === 1 && !special.has(id)) open.push(at);
    let chosen = open.filter(() => random.uniform() < probability);
    // A batch without anything to predict would have no loss.
    if (chosen.length === 0 && open.length > 0) chosen = [open[random.integer(open.length)]!];
    const labels = Int32Array.from(chosen, (at) => batch.inputIds[at]!);
    for (const at of chosen) {
      const draw = random.uniform();
      if (draw < 0.8) batch.inputIds[at] = options.maskTokenId;
      else if (draw < 0.9) batch.inputIds[at] = random.integer(options.vocabSize);
    }
    return { ...batch, labels, labelShape: [chosen.length], positions: Int32Array.from(chosen) };
  };
}
