/** A model of this engine beside transformers: outputs, gradients, twenty steps, and the folder it saves. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import type { SaveOptions } from '../../src/models/files/save.ts';
import type { Device } from '../../src/tensor/device.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { maxDifference, modelInputs, readJson, readTensors } from '../../test/support/fixtures.ts';
import {
  compute,
  gradientErrors,
  limits,
  lossError,
  outputErrors,
  outputsOf,
  type Reference,
  readReference,
  trainSteps,
  weightErrors,
} from '../../test/support/reference.ts';
import { isLegacy, loaderOf, type Subject } from './subjects.ts';

/** A row of the result. A number that is undefined is not measured for this row. */
export interface Row extends Pick<Subject, 'family' | 'className' | 'kind'> {
  name: string;
  /** The largest error of any output, gradient, weight after twenty steps. */
  outputs?: number;
  gradients?: number;
  weights?: number;
  /** The largest difference of outputs once transformers loaded what this engine saved. */
  into?: number;
  /** The same once this engine loaded what transformers saved of that. */
  back?: number;
  /** What is wrong beside a number that is too large. */
  problems: string[];
}

export interface Folders {
  /** Fixtures, as test/reference/model_fixtures.py writes them. */
  models: string;
  /** What test/reference/training_steps.py writes. */
  steps: string;
  /** Gets a folder for each saved model, and the outputs beside it, in `current/` or `legacy/`. */
  saved: string;
  /** What transformers saved of those. */
  resaved: string;
}

type Steps = Record<string, { losses: number[]; decay: string[] }>;
type Run = Record<string, unknown>;
type Flat = [name: string, values: Float32Array, shape: readonly number[]][];

const largest = (errors: Map<string, number>): number => Math.max(...errors.values());
export const sideOf = (subject: Subject): string => (isLegacy(subject) ? 'legacy' : 'current');

/** Loads a folder that must fit; what does not is a problem of the row. */
async function load(device: Device, subject: Subject, folder: string, row: Row): Promise<PreTrainedModel> {
  return loaderOf(subject).fromPretrained(folder, {
    device,
    onReport: ({ text }) => {
      if (text !== '') row.problems.push(text.split('\n').join(' '));
    },
  });
}

type Nested = number | Nested[];

function nested(values: Float32Array, shape: readonly number[]): Nested {
  const [rows, ...rest] = shape;
  if (rows === undefined) return values[0]!;
  const size = values.length / rows;
  return Array.from({ length: rows }, (_, row) =>
    nested(values.subarray(row * size, (row + 1) * size), rest),
  );
}

async function flatOutputs(model: PreTrainedModel, inputs: Reference['inputs']): Promise<Flat> {
  using _scope = model.device.scope();
  const { outputs } = noGrad(() => outputsOf(model, modelInputs(model.device, inputs)));
  const flat: Flat = [];
  for (const [name, tensor] of outputs) flat.push([name, await tensor.float32Data(), tensor.shape]);
  return flat;
}

/** Saves a model, and beside it its inputs and outputs as check_roundtrip.py reads them. */
async function save(
  model: PreTrainedModel,
  subject: Subject,
  name: string,
  { inputs }: Reference,
  { saved }: Folders,
  options: SaveOptions = {},
): Promise<void> {
  const folder = join(saved, sideOf(subject));
  await mkdir(folder, { recursive: true });
  await model.savePretrained(join(folder, name), options);
  const given =
    options.dtype === 'F16'
      ? await loaderOf(subject).fromPretrained(join(folder, name), { device: model.device })
      : model;
  const run: Run = { ...inputs };
  for (const [output, values, shape] of await flatOutputs(given, inputs)) run[output] = nested(values, shape);
  if (given !== model) given.dispose();
  await writeFile(join(folder, `${name}.json`), JSON.stringify(run));
}

const rowOf = ({ family, className, kind, name }: Subject): Row => ({
  family,
  className,
  kind,
  name,
  problems: [],
});

/** The row of a fixture; the model is saved after its training. */
export async function measure(device: Device, subject: Subject, folders: Folders): Promise<Row> {
  const row = rowOf(subject);
  const reference = await readReference(join(folders.models, subject.name));
  const trained = await readTensors(join(folders.steps, `${subject.name}.safetensors`));
  const { losses, decay } = (await readJson<Steps>(join(folders.steps, 'steps.json')))[subject.name]!;
  const model = await load(device, subject, join(folders.models, subject.name), row);
  const scope = device.scope();
  const computed = compute(model, reference, subject.head);
  row.outputs = largest(await outputErrors(computed.outputs, reference));
  const loss = await lossError(computed, reference);
  if (!(loss < limits.loss)) row.problems.push(`the loss is off by ${loss}`);
  computed.loss.backward();
  // Of base models the fixture has norms only.
  const source = subject.task === 'base' ? trained : reference.tensors;
  const { errors, rounding, unmatched } = await gradientErrors(model, source);
  row.gradients = largest(errors);
  if (unmatched.length > 0) row.problems.push(`only one side has ${unmatched.join(', ')}`);
  for (const [name, size] of rounding)
    if (!(size < limits.rounding))
      row.problems.push(`the gradient of ${name} is zero but for rounding, here ${size}`);
  model.zeroGrad();
  scope.close();

  const steps = await trainSteps(model, decay, () => compute(model, reference, subject.head).loss);
  for (const [step, { loss }] of steps.entries())
    if (!(Math.abs(loss / losses[step]! - 1) < limits.steps))
      row.problems.push(`the loss of step ${step} is ${loss}, in transformers ${losses[step]}`);
  row.weights = largest(await weightErrors(model, trained));
  await save(model, subject, subject.name, reference, folders);
  model.dispose();
  return row;
}

/** Rows of a classifier trained in mixed precision: saved in float32, and in float16. */
export async function measureHalf(device: Device, subject: Subject, folders: Folders): Promise<Row[]> {
  const kinds = ['trained in mixed precision', 'trained in mixed precision, saved in float16'];
  const [row, half] = kinds.map((kind, i) => ({
    ...rowOf(subject),
    kind: `${subject.kind}, ${kind}`,
    name: `${subject.name}-${['mixed', 'float16'][i]}`,
  })) as [Row, Row];
  const reference = await readReference(join(folders.models, subject.name));
  const { decay } = (await readJson<Steps>(join(folders.steps, 'steps.json')))[subject.name]!;
  const model = await load(device, subject, join(folders.models, subject.name), row);
  const steps = await trainSteps(model, decay, () => compute(model, reference, subject.head).loss, {
    half: true,
  });
  if (!(steps.at(-1)!.loss < steps[0]!.loss)) row.problems.push('the loss does not fall');
  await save(model, subject, row.name, reference, folders);
  await save(model, subject, half.name, reference, folders, { dtype: 'F16' });
  model.dispose();
  return [row, half];
}

/** Loads what transformers saved of a row's model. */
export async function measureBack(
  device: Device,
  subject: Subject,
  row: Row,
  folders: Folders,
): Promise<void> {
  const saved = await readJson<Run>(join(folders.saved, sideOf(subject), `${row.name}.json`));
  const model = await load(device, subject, join(folders.resaved, sideOf(subject), row.name), row);
  row.back = 0;
  for (const [name, values] of await flatOutputs(model, saved as unknown as Reference['inputs'])) {
    const expected = (saved[name] as number[]).flat(Number.POSITIVE_INFINITY) as number[];
    row.back = Math.max(row.back, maxDifference(values, expected));
  }
  model.dispose();
}
