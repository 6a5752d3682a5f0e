/** Reads the fixtures in test/reference/. */

import { openSafetensors } from '../../src/models/files/safetensors-reader.ts';
import { platform } from '../../src/platform/node.ts';
import type { Device } from '../../src/tensor/device.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

export const fixtures = new URL('../reference/fixtures/', import.meta.url).pathname;
export const models = `${fixtures}models/`;

export type Ids = number[][];
/** Of rows, or of questions with several rows each. */
export type Rows = Ids | Ids[];

export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await platform.readText(path)) as T;
}

/** All tensors of a safetensors file as float32. */
export async function readTensors(path: string): Promise<Map<string, Float32Array>> {
  const file = await openSafetensors(await platform.openFile(path));
  const out = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) out.set(name, await file.readFloat32(name));
  await file.close();
  return out;
}

type Nested = number | readonly Nested[];
const shapeOf = (values: Nested): number[] =>
  typeof values === 'number' ? [] : [values.length, ...shapeOf(values[0]!)];

export function int32(device: Device, rows: Rows | number[]): Tensor {
  return device.tensor(Int32Array.from(rows.flat(2) as number[]), shapeOf(rows));
}

export interface FixtureInputs {
  input_ids: Rows;
  attention_mask: Rows;
  token_type_ids?: Rows;
}

/** A fixture's batch as tensors. */
export function modelInputs(
  device: Device,
  inputs: Pick<FixtureInputs, 'input_ids'> & Partial<FixtureInputs>,
) {
  return {
    inputIds: int32(device, inputs.input_ids),
    ...(inputs.attention_mask && { attentionMask: int32(device, inputs.attention_mask) }),
    ...(inputs.token_type_ids && { tokenTypeIds: int32(device, inputs.token_type_ids) }),
  };
}

/** FNV-1a of a value's JSON, as fixtures have it of long results. */
export function hashOf(value: unknown): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(JSON.stringify(value)))
    hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

export function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < expected.length; i += 1) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    // Math.max propagates NaN, which then fails every comparison.
    worst = Math.max(worst, difference);
  }
  return worst;
}

/** Norm of the difference divided by the norm. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i += 1) {
    difference += (actual[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), 1e-12);
}
