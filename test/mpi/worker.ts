/** One of the processes that mpi.test.ts starts: trains, and writes what came out to a file. */
import { writeFileSync } from 'node:fs';
import { serialize } from 'node:v8';
import { requestDevice } from '../../src/tensor/device.ts';
import { initProcessGroup } from '../../src/train/ranks.ts';
import { trainAll } from './trainings.ts';

const [folder, output] = process.argv.slice(2) as [string, string];
const group = await initProcessGroup();
const device = await requestDevice();
try {
  const results = await trainAll(device, group, folder);
  const all = (await group?.allGatherObject(results)) ?? [results];
  if ((group?.rank ?? 0) === 0) writeFileSync(output, serialize(all));
  device.destroy();
  await group?.finalize();
  process.exit();
} catch (error) {
  console.error(error);
  group?.abort(1);
}
