/** Typed access to what model_fixtures.py wrote; README.md gives the layout. */
import { openSafetensors } from '../../src/models/safetensors-reader.ts';
import { platform } from '../../src/platform/node.ts';
import { type FixtureInputs, models, readJson } from '../support/fixtures.ts';

export type Family = 'bert' | 'roberta';
export type Task = 'single' | 'multi' | 'regression' | 'token' | 'qa' | 'mlm';
export type Variant = 'old' | 'old-prefixed' | 'old-pretraining' | 'pretraining' | 'sharded' | 'bf16' | 'f16';

export interface FixtureTensor {
  shape: readonly number[];
  values: Float32Array;
}

/** `[rows]` or `[rows, columns]`, by the task. */
export type Labels =
  | Record<'labels', number[] | number[][]>
  | Record<'start_positions' | 'end_positions', number[]>;

export interface TaskFixture {
  folder: string;
  inputs: FixtureInputs;
  labels: Labels;
  loss: number;
  /** `logits`, or `start_logits` and `end_logits`. */
  outputs: ReadonlyMap<string, FixtureTensor>;
  /** By state-dict key; a tied weight stands once, under the embedding's name. */
  gradients: ReadonlyMap<string, FixtureTensor>;
}

export interface BaseFixture {
  folder: string;
  inputs: FixtureInputs;
  /** mean((lastHiddenState − target)²) + mean((poolerOutput − target)²) */
  loss: number;
  gradNorms: Readonly<Record<string, number>>;
  lastHiddenState: FixtureTensor;
  poolerOutput: FixtureTensor;
  targets: { lastHiddenState: FixtureTensor; poolerOutput: FixtureTensor };
}

/** A batch through the single-label classifier; `attention_mask` and token types are absent where the model was not given them. */
export interface BatchFixture {
  name: string;
  inputs: Pick<FixtureInputs, 'input_ids'> & Partial<FixtureInputs>;
  labels: number[];
  loss: number;
  /** Euclidean norm of each parameter's gradient. */
  gradNorms: Readonly<Record<string, number>>;
  logits: FixtureTensor;
}

export interface CurveFixture {
  folder: string;
  /** Step s takes batch s mod the number of batches. */
  batches: FixtureInputs[];
  labels: number[][];
  /** Loss before the update, norm before clipping, rate of the update. */
  steps: { loss: number; norm: number; lr: number }[];
  /** Some parameters after the last step, by state-dict key. */
  final: ReadonlyMap<string, FixtureTensor>;
}

export interface ScheduleFixture {
  type: 'linear' | 'cosine' | 'constant' | 'constant_with_warmup';
  warmup_steps: number;
  training_steps: number;
  /** Waves of the cosine; half a one where absent. */
  cycles?: number;
  /** Factor of the initial rate at step 0, 1, …, past `training_steps`. */
  values: number[];
}

export interface OptimFixture {
  schedules: ScheduleFixture[];
  /** By folder: the parameters that transformers' Trainer decays, and the rest. */
  weight_decay: Record<string, { decay: string[]; no_decay: string[] }>;
}

export interface LoadingFixture {
  missing: string[];
  unexpected: string[];
  /** [name, shape in the checkpoint, shape in the model] */
  mismatched?: [string, number[], number[]][];
}

/** All tensors of a safetensors file, widened to float32. */
async function tensorsOf(path: string): Promise<Map<string, FixtureTensor>> {
  const file = await openSafetensors(await platform.openFile(path));
  const out = new Map<string, FixtureTensor>();
  for (const [name, { shape }] of file.tensors)
    out.set(name, { shape, values: await file.readFloat32(name) });
  await file.close();
  return out;
}

function under(tensors: ReadonlyMap<string, FixtureTensor>, prefix: string): Map<string, FixtureTensor> {
  const chosen = [...tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(chosen.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

function need(tensors: ReadonlyMap<string, FixtureTensor>, name: string): FixtureTensor {
  const tensor = tensors.get(name);
  if (tensor === undefined)
    throw new Error(`the fixture holds no '${name}', only ${[...tensors.keys()].join(', ')}`);
  return tensor;
}

export async function loadTask(family: Family, task: Task): Promise<TaskFixture> {
  const folder = `${models}${family}-${task}`;
  const json = await readJson<Pick<TaskFixture, 'inputs' | 'labels' | 'loss'>>(`${folder}/expected.json`);
  const tensors = await tensorsOf(`${folder}/expected.safetensors`);
  return { ...json, folder, outputs: under(tensors, 'out.'), gradients: under(tensors, 'grad.') };
}

export async function loadBase(family: Family): Promise<BaseFixture> {
  const folder = `${models}${family}-base`;
  const { grad_norms, ...json } = await readJson<{
    inputs: FixtureInputs;
    loss: number;
    grad_norms: Record<string, number>;
  }>(`${folder}/expected.json`);
  const tensors = await tensorsOf(`${folder}/expected.safetensors`);
  return {
    ...json,
    folder,
    gradNorms: grad_norms,
    lastHiddenState: need(tensors, 'last_hidden_state'),
    poolerOutput: need(tensors, 'pooler_output'),
    targets: {
      lastHiddenState: need(tensors, 'target.last_hidden_state'),
      poolerOutput: need(tensors, 'target.pooler_output'),
    },
  };
}

/** The batches of `{family}-single`, whose folder holds the checkpoint. */
export async function loadBatches(family: Family): Promise<BatchFixture[]> {
  const folder = `${models}${family}-single`;
  type Stored = Pick<BatchFixture, 'inputs' | 'loss'> & {
    labels: { labels: number[] };
    grad_norms: Record<string, number>;
  };
  const json = await readJson<Record<string, Stored>>(`${folder}/batches.json`);
  const tensors = await tensorsOf(`${folder}/batches.safetensors`);
  return Object.entries(json).map(([name, { inputs, labels, loss, grad_norms }]) => {
    return {
      name,
      inputs,
      labels: labels.labels,
      loss,
      gradNorms: grad_norms,
      logits: need(tensors, `${name}.logits`),
    };
  });
}

export async function loadCurve(family: Family): Promise<CurveFixture> {
  const folder = `${models}${family}-single`;
  const json = await readJson<Pick<CurveFixture, 'batches' | 'labels' | 'steps'>>(`${folder}/curve.json`);
  return { ...json, folder, final: await tensorsOf(`${folder}/curve.safetensors`) };
}

/** What the widened 16-bit weights give for bert-base's batch. */
export async function loadHalf(
  dtype: 'bf16' | 'f16',
): Promise<Pick<BaseFixture, 'folder' | 'inputs' | 'lastHiddenState' | 'poolerOutput'>> {
  const { inputs } = await loadBase('bert');
  const folder = `${models}bert-${dtype}`;
  const tensors = await tensorsOf(`${folder}/expected.safetensors`);
  return {
    folder,
    inputs,
    lastHiddenState: need(tensors, 'last_hidden_state'),
    poolerOutput: need(tensors, 'pooler_output'),
  };
}

export function variantFolder(variant: Variant): string {
  return `${models}bert-${variant}`;
}

export function configFolder(family: Family): string {
  return `${models}configs/${family}`;
}

export function loadOptim(): Promise<OptimFixture> {
  return readJson<OptimFixture>(`${models}optim.json`);
}

export function loadLoading(): Promise<Record<string, LoadingFixture>> {
  return readJson<Record<string, LoadingFixture>>(`${models}loading.json`);
}
