/** What a finished model gives to texts. */
import { type Device, type Encoding, type ProblemType, predictBatches, softmaxRows } from 'dawngrad';
import type { LiveRun } from '../contract.ts';

export interface Input {
  text: string;
  pair?: string | undefined;
}

/** Texts of a batch. */
const BATCH = 32;

/** A text as the training encoded it: cut to the run's length. */
export function encoded({ tokenizer, run: { maxLength } }: LiveRun, { text, pair }: Input): Encoding {
  return tokenizer.encode(text, pair, { truncation: true, maxLength, returnOverflowingTokens: true });
}

/** One text's tokens as a model's inputs; they belong to the open scope. */
export function idsOf(
  device: Device,
  { inputIds, tokenTypeIds }: Pick<Encoding, 'inputIds' | 'tokenTypeIds'>,
) {
  const row = (values: readonly number[]) => device.tensor(Int32Array.from(values), [1, values.length]);
  return { inputIds: row(inputIds), tokenTypeIds: row(tokenTypeIds) };
}

/** Texts as one batch. */
export function batchOf({ tokenizer, run }: LiveRun, inputs: readonly Input[]) {
  return {
    ...tokenizer.encodeBatch(
      inputs.map(({ text, pair }) => (pair === undefined ? text : ([text, pair] as const))),
      { truncation: true, maxLength: run.maxLength, padding: true },
    ),
  };
}

/** The logits of texts, [texts, outputs] row-major. */
export async function logitsOf(live: LiveRun, inputs: readonly Input[]): Promise<Float32Array> {
  const { model } = live;
  const batches = Array.from({ length: Math.ceil(inputs.length / BATCH) }, (_, at) =>
    batchOf(live, inputs.slice(at * BATCH, (at + 1) * BATCH)),
  );
  const parts: number[] = [];
  for await (const { logits } of predictBatches(model, batches)) parts.push(...logits);
  return Float32Array.from(parts);
}

/** Probabilities of classes, or values, of logits [n, outputs] row-major. */
export function outputsOf({ problemType, width }: Kind, logits: Float32Array): number[] {
  if (problemType === 'regression') return [...logits];
  if (problemType === 'multi_label_classification') return Array.from(logits, (x) => 1 / (1 + Math.exp(-x)));
  return [...softmaxRows(logits, width)];
}

/** What the outputs of a model are, and how many a text has. */
export interface Kind {
  problemType: ProblemType;
  width: number;
}

export const kindOf = ({ run: { problemType, labels } }: LiveRun): Kind => ({
  problemType,
  width: labels.length,
});

/** Row `at` of values [n, width] row-major. */
export function rowOf(values: ArrayLike<number>, width: number, at: number): number[] {
  return Array.from({ length: width }, (_, column) => values[at * width + column]!);
}
