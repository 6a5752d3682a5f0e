/** Adapters that PEFT made (test/reference/peft_fixtures.py), and models with them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  AutoModelForMaskedLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipGradNorm } from '../../src/optim/clip.ts';
import type { Device } from '../../src/tensor/device.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { fixtures, type Ids, int32, readJson } from './fixtures.ts';

export const root = join(fixtures, 'peft');
export const cases = readdirSync(root).sort();

export interface PeftReference {
  task: string | null;
  base: string;
  inputs: { input_ids: Ids; attention_mask: Ids };
  labels: { labels?: number[] | Ids; start_positions?: number[]; end_positions?: number[] };
  logits: number[];
  merged: number[];
  loss: number;
  gradients: Record<string, number>;
  sums: Record<string, number>;
  losses: number[];
  /** Over a base whose matrices are rounded to float16. */
  rounded: { logits: number[]; loss: number; losses: number[] };
}

interface Output {
  loss?: Tensor;
  logits?: Tensor;
  startLogits?: Tensor;
  endLogits?: Tensor;
}

export type Loaded = PreTrainedModel & { forward(inputs: object): Output };

export const referenceOf = (name: string) => readJson<PeftReference>(join(root, name, 'reference.json'));

function autoOf({ task }: Pick<PeftReference, 'task'>) {
  if (task === 'SEQ_CLS') return AutoModelForSequenceClassification;
  if (task === 'TOKEN_CLS') return AutoModelForTokenClassification;
  return task === 'QUESTION_ANS' ? AutoModelForQuestionAnswering : AutoModelForMaskedLM;
}

export const load = async (
  device: Device,
  folder: string,
  reference: Pick<PeftReference, 'task'>,
): Promise<Loaded> =>
  (await autoOf(reference).fromPretrained(folder, {
    device,
    onReport: ({ text }) => expect(text).toBe(''),
  })) as unknown as Loaded;

export function inputsOf(device: Device, { inputs, labels }: PeftReference): object {
  const entries = {
    labels: labels.labels,
    startPositions: labels.start_positions,
    endPositions: labels.end_positions,
  };
  return {
    inputIds: int32(device, inputs.input_ids),
    attentionMask: int32(device, inputs.attention_mask),
    ...Object.fromEntries(
      Object.entries(entries)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => [key, int32(device, value as number[])]),
    ),
  };
}

/** Logits at the tokens that the mask shows, of both sides. */
export async function logitsOf(model: Loaded, reference: PeftReference): Promise<number[]> {
  const { device } = model;
  const scope = device.scope();
  const out = noGrad(() => model.forward(inputsOf(device, reference)));
  const parts = [out.logits, out.startLogits, out.endLogits].filter((one) => one !== undefined);
  const read = Promise.all(parts.map((one) => one.float32Data()));
  scope.close();
  return (await read).flatMap((values) => [...values]);
}

/** With a row for each token, only those that the mask shows. */
export function shown(values: readonly number[], { inputs }: PeftReference): number[] {
  const mask = inputs.attention_mask.flat();
  const each = values.length / mask.length;
  if (each < 1 || !Number.isInteger(each)) return [...values];
  if (each === 2) return values.filter((_, at) => mask[at % mask.length] === 1);
  return values.filter((_, at) => mask[Math.floor(at / each)] === 1);
}

/** The losses of 20 AdamW steps, as the fixtures took them. */
export async function trainSteps(model: Loaded, reference: PeftReference): Promise<number[]> {
  const { device } = model;
  model.adapters!.train();
  const learning = model.parameters().filter(({ requiresGrad }) => requiresGrad);
  const optimizer = new AdamW(learning, { lr: 1e-3, weightDecay: 0.01 });
  const losses: number[] = [];
  for (let step = 0; step < 20; step += 1) {
    const scope = device.scope();
    const { loss } = model.forward(inputsOf(device, reference));
    loss!.backward();
    clipGradNorm(learning, 1);
    optimizer.step();
    optimizer.zeroGrad();
    losses.push(await loss!.item());
    scope.close();
  }
  optimizer.dispose();
  return losses;
}
