/**
 * The smoke subset of the op table, on the adapter of the runtime that runs this program. Prints how many
 * operations were computed and which were wrong, as JSON.
 */
import { requestDevice } from '../../../src/tensor/device.ts';
import { smoke } from '../../../test/tensor/op-smoke.ts';

const device = await requestDevice();
console.log(JSON.stringify(await smoke(device)));
device.destroy();
const { Deno } = globalThis as { Deno?: { exit(code: number): void } };
(Deno ?? process).exit(0);
