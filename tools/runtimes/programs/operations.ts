/**
 * The smoke subset of the op table: the first row of each operation, on the adapter of the runtime that runs this
 * program. Prints how many were computed and which were wrong, as JSON.
 */
import { requestDevice } from '../../../src/tensor/device.ts';
import { differences } from '../../../test/tensor/op-differences.ts';
import { opRows } from '../../../test/tensor/op-rows.ts';

const device = await requestDevice();
const first = new Map(opRows.map((row) => [row.op, row]).reverse() as [string, (typeof opRows)[number]][]);
const wrong: string[] = [];
for (const row of first.values()) {
  const { value, gradients, shape, expectedShape } = await differences(device, row);
  const close = (difference: number, accepted: number): boolean => difference <= accepted;
  const right =
    String(shape) === String(expectedShape) &&
    close(value, row.atol ?? 1e-6) &&
    gradients.every(({ difference }) => close(difference, row.gradAtol ?? 2e-5));
  if (!right) wrong.push(`${row.op} ${row.note}: ${value}, ${gradients.map(({ difference }) => difference)}`);
}
console.log(JSON.stringify({ adapter: device.description, count: first.size, wrong }));
device.destroy();
const { Deno } = globalThis as { Deno?: { exit(code: number): void } };
(Deno ?? process).exit(0);
