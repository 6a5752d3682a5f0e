/** A model beside what transformers and PyTorch compute of it (test/reference/README.md, `fixtures/models/`). */
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import type { Adafactor } from '../../src/optim/adafactor.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor, clipGradNorm } from '../../src/optim/clip.ts';
import { GradScaler } from '../../src/optim/grad-scaler.ts';
import type { Lion } from '../../src/optim/lion.ts';
import { getConstantSchedule, getLinearScheduleWithWarmup } from '../../src/optim/schedule.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import type { Device } from '../../src/tensor/device.ts';
import { add } from '../../src/tensor/ops/elementwise.ts';
import { mseLoss } from '../../src/tensor/ops/loss.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import {
  type FixtureInputs,
  int32,
  maxDifference,
  modelInputs,
  models,
  readJson,
  readTensors,
  relativeError,
} from './fixtures.ts';
import { weightsOf } from './weights.ts';

/** What every comparison must stay below. */
export const limits = {
  /** The largest difference of any logit or state. */
  outputs: 1e-4,
  /** Of the loss, relative. */
  loss: 1e-5,
  /** Of a gradient: the norm of the difference, relative to the norm. */
  gradients: 1e-3,
  /** The norm of a gradient that is zero in exact arithmetic, relative to the largest norm. */
  rounding: 1e-5,
  /** Losses and norms of twenty steps, and the weights after them, relative. */
  steps: 1e-3,
};

/** By their names in fixtures. */
const outputNames = {
  logits: 'logits',
  start_logits: 'startLogits',
  end_logits: 'endLogits',
  prediction_logits: 'predictionLogits',
  seq_relationship_logits: 'seqRelationshipLogits',
  sop_logits: 'sopLogits',
  last_hidden_state: 'lastHiddenState',
  pooler_output: 'poolerOutput',
} as const;

const labelNames: Readonly<Record<string, string>> = {
  labels: 'labels',
  start_positions: 'startPositions',
  end_positions: 'endPositions',
  next_sentence_label: 'nextSentenceLabel',
  sentence_order_label: 'sentenceOrderLabel',
};

/** A folder's `expected.json` and `expected.safetensors`. */
export interface Reference {
  inputs: FixtureInputs;
  /** None of a base model, whose loss is the sum of its outputs' mean squared errors against `target.…`. */
  labels?: Record<string, number[] | number[][]>;
  loss: number;
  tensors: Map<string, Float32Array>;
}

/** Throws `FileError` for a folder without expectations. */
export async function readReference(folder: string): Promise<Reference> {
  const expected = await readJson<Omit<Reference, 'tensors'>>(`${folder}/expected.json`);
  return { ...expected, tensors: await readTensors(`${folder}/expected.safetensors`) };
}

/** Heads, by the end of a folder's name, whose labels are numbers rather than classes. */
const ofNumbers = ['multi', 'regression'];

function labelTensors(model: PreTrainedModel, labels: Reference['labels'], head: string) {
  const type = ofNumbers.includes(head) ? Float32Array : Int32Array;
  return Object.fromEntries(
    Object.entries(labels ?? {}).map(([name, values]) => {
      const shape = Array.isArray(values[0]) ? [values.length, values[0].length] : [values.length];
      return [labelNames[name]!, model.device.tensor(type.from(values.flat()), shape)];
    }),
  );
}

export interface Computed {
  /** By their names in fixtures. */
  outputs: Map<string, Tensor>;
  loss: Tensor;
}

type Forward = (inputs: object) => Readonly<Record<string, Tensor | undefined>>;

/** A forward pass in the open scope: what fixtures have of its outputs, by their names there, and the loss. */
export function outputsOf(
  model: PreTrainedModel,
  inputs: object,
): Pick<Computed, 'outputs'> & Partial<Computed> {
  const { forward } = model as unknown as { forward: Forward };
  const output = forward.call(model, inputs);
  const outputs = new Map(
    Object.entries(outputNames).flatMap(([theirs, ours]) => {
      const tensor = output[ours];
      return tensor === undefined ? [] : [[theirs, tensor]];
    }),
  );
  return { outputs, ...(output.loss && { loss: output.loss }) };
}

/** A forward pass of the fixture's batch in the open scope, with the fixture's loss. */
export function compute(model: PreTrainedModel, reference: Reference, head: string): Computed {
  const { outputs, loss } = outputsOf(model, {
    ...modelInputs(model.device, reference.inputs),
    ...labelTensors(model, reference.labels, head),
  });
  if (loss !== undefined) return { outputs, loss };
  const errors = [...outputs].map(([name, states]) =>
    mseLoss(states, model.device.tensor(reference.tensors.get(`target.${name}`)!, states.shape)),
  );
  return { outputs, loss: errors.reduce((total, error) => add(total, error)) };
}

/** The largest difference of each output. Infinite for one that only one side has. */
export async function outputErrors(
  outputs: Computed['outputs'],
  { tensors }: Reference,
): Promise<Map<string, number>> {
  const errors = new Map<string, number>();
  for (const name of Object.keys(outputNames)) {
    const [ours, theirs] = [outputs.get(name), tensors.get(`out.${name}`) ?? tensors.get(name)];
    if (ours === undefined && theirs === undefined) continue;
    const known = ours !== undefined && theirs !== undefined;
    errors.set(name, known ? maxDifference(await ours.float32Data(), theirs) : Number.POSITIVE_INFINITY);
  }
  return errors;
}

export async function lossError({ loss }: Computed, reference: Reference): Promise<number> {
  return Math.abs((await loss.item()) / reference.loss - 1);
}

/** Of gradients with tensors named `grad.…`, by the names of weights in files. */
export interface GradientErrors {
  /** Relative errors. */
  errors: Map<string, number>;
  /**
   * Norms relative to the largest one, of gradients that are zero in exact arithmetic (a key's bias): there,
   * both sides have only what rounding leaves.
   */
  rounding: Map<string, number>;
  /** Weights that one side alone has. */
  unmatched: string[];
}

export async function gradientErrors(
  model: PreTrainedModel,
  tensors: Map<string, Float32Array>,
): Promise<GradientErrors> {
  const weights = weightsOf(model);
  const theirs = new Map([...tensors].flatMap(([key, values]) => suffixed(key, 'grad.', values)));
  const largest = Math.max(...[...theirs.values()].map((values) => Math.hypot(...values)));
  const found: GradientErrors = { errors: new Map(), rounding: new Map(), unmatched: [] };
  found.unmatched.push(...[...weights.keys()].filter((name) => !theirs.has(name)));
  for (const [name, expected] of theirs) {
    const weight = weights.get(name);
    if (weight === undefined) {
      found.unmatched.push(name);
      continue;
    }
    const actual = (await weight.gradient()) ?? new Float32Array(expected.length);
    if (Math.hypot(...expected) < 1e-6 * largest) found.rounding.set(name, Math.hypot(...actual) / largest);
    else found.errors.set(name, relativeError(actual, expected));
  }
  return found;
}

function suffixed<T>(key: string, prefix: string, value: T): [string, T][] {
  return key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [];
}

export interface StepResult {
  /** Before the update. */
  loss: number;
  /** Of the gradients, before clipping. */
  norm: number;
  /** Of the update. */
  lr: number;
}

/** The steps that fixtures are made with. */
const STEPS = 20;

interface DecayGroup {
  params: Tensor[];
  weightDecay: number;
}

export interface StepOptions {
  /** In mixed precision, with a scaled loss. */
  half?: boolean;
  /** Makes an optimizer, whose rate is constant. Default: AdamW, with warm-up and linear decay. */
  make?: (groups: [decayed: DecayGroup, rest: DecayGroup]) => AdamW | Lion | Adafactor;
}

/**
 * Twenty steps with clipping and decay of the weights with the names in `decay`. `lossOf` computes a step's loss
 * in a scope of that step.
 */
export async function trainSteps(
  model: PreTrainedModel,
  decay: Iterable<string>,
  lossOf: (step: number) => Tensor,
  { half = false, make }: StepOptions = {},
): Promise<StepResult[]> {
  model.train();
  const weights = weightsOf(model);
  const decayed = new Set([...decay].map((name) => weights.get(name)!.tensor));
  const rest = [...new Set([...weights.values()].map(({ tensor }) => tensor))];
  const groups: [DecayGroup, DecayGroup] = [
    { params: [...decayed], weightDecay: 0.1 },
    { params: rest.filter((tensor) => !decayed.has(tensor)), weightDecay: 0 },
  ];
  const optimizer = make?.(groups) ?? new AdamW(groups, { lr: 1e-3 });
  const scheduler =
    make === undefined ? getLinearScheduleWithWarmup(optimizer, 4, STEPS) : getConstantSchedule(optimizer);
  const scaler = half ? new GradScaler(model.device) : null;
  const results: StepResult[] = [];
  for (let step = 0; step < STEPS; step += 1) {
    using _scope = model.device.scope();
    const loss = half ? autocast(() => lossOf(step)) : lossOf(step);
    loss.backward(scaler?.scale);
    const gradScale =
      scaler === null
        ? clipGradNorm(model.parameters(), 0.5)!
        : clipFactor(model.parameters(), 0.5, { lossScale: scaler })!;
    const [norm] = await gradScale.float32Data();
    results.push({ loss: await loss.item(), norm: norm!, lr: scheduler.getLastLr()[0]! });
    optimizer.step(scaler === null ? {} : { gradScale, skipNonFinite: true });
    scaler?.update(gradScale);
    scheduler.step();
    optimizer.zeroGrad();
  }
  optimizer.dispose();
  scaler?.dispose();
  model.eval();
  return results;
}

export interface CurveReference {
  model: PreTrainedModel;
  /** The names of the weights that decay, and of the others. */
  decay: string[];
  undecayed: string[];
  /** The loss of a step's batch. */
  lossOf(step: number): Tensor;
  /** PyTorch's, with AdamW. */
  steps: StepResult[];
}

/** A family's model of classification, and the batches that its fixture's curve is of. */
export async function readCurve(device: Device, family: string): Promise<CurveReference> {
  const folder = `${models}${family}-single`;
  const { batches, labels, steps } = await readJson<{
    batches: FixtureInputs[];
    labels: number[][];
    steps: StepResult[];
  }>(`${folder}/curve.json`);
  const { weight_decay } = await readJson<{
    weight_decay: Record<string, { decay: string[]; no_decay: string[] }>;
  }>(`${models}optim.json`);
  const { decay, no_decay: undecayed } = weight_decay[`${family}-single`]!;
  const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device });
  const lossOf = (step: number): Tensor =>
    model.forward({
      ...modelInputs(device, batches[step % batches.length]!),
      labels: int32(device, labels[step % labels.length]!),
    }).loss!;
  return { model, decay, undecayed, lossOf, steps };
}

/**
 * The relative error of each weight that `tensors` name `weight.…`; of elements that `decided.…` has zero for,
 * none.
 */
export async function weightErrors(
  model: PreTrainedModel,
  tensors: Map<string, Float32Array>,
): Promise<Map<string, number>> {
  const weights = weightsOf(model);
  const errors = new Map<string, number>();
  for (const [key, expected] of tensors) {
    for (const [name] of suffixed(key, 'weight.', expected)) {
      const decided = tensors.get(`decided.${name}`);
      const kept = (values: Float32Array): Float32Array =>
        decided === undefined ? values : values.filter((_, i) => decided[i] === 1);
      const ours = await weights.get(name)?.values();
      errors.set(
        name,
        ours === undefined ? Number.POSITIVE_INFINITY : relativeError(kept(ours), kept(expected)),
      );
    }
  }
  return errors;
}
