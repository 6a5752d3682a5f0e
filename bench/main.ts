/**
 * The benchmark: measures in one run the adapter's ceilings, and how close the kernels and whole jobs come to
 * them.
 *
 *     npm run bench [-- --quick] [-- --filter matmul] [-- --adapter swiftshader]
 *     npm run bench [-- --json out.json] [-- --compare before.json]
 *     npm run bench -- --filter 'bert-base training' --shape 1x8 [--kernels gpu]
 *     npm run bench -- --peers [--pytorch python3] [--html out.html]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { requestDevice } from '../src/tensor/device.ts';
import { type Ceilings, measureCeilings } from './ceilings.ts';
import { type HostResult, measureHost } from './host.ts';
import { type JobResult, jobSizes, runJob } from './jobs.ts';
import { matmulCases } from './kernels/matmul.ts';
import { otherCases } from './kernels/others.ts';
import { type KernelResult, runKernel } from './kernels/run.ts';
import { htmlPage } from './lib/html.ts';
import { type TableData, textTable } from './lib/table.ts';
import {
  benchSections,
  ceilingTable,
  comparison,
  hostTable,
  jobTable,
  kernelTable,
  peerTable,
  stepTable,
  timeTable,
} from './lib/tables.ts';
import { comparePeers, peersInstalled } from './peers/compare.ts';
import type { PeersResult } from './peers/results.ts';

export interface BenchResult {
  adapter: string;
  date: string;
  ceilings: Ceilings;
  kernels: KernelResult[];
  jobs: JobResult[];
  host: HostResult[];
  peers?: PeersResult;
}

interface Options {
  quick?: boolean;
  filter?: string;
  json?: string;
  compare?: string;
  adapter?: string;
  kernels?: 'cpu' | 'gpu';
  shape?: [batch: number, length: number];
  peers?: boolean;
  pytorch?: string;
  html?: string;
}

function readShape(text: string): [number, number] {
  const [, batch, length] = /^([1-9]\d*)x([1-9]\d*)$/.exec(text) ?? [];
  if (batch === undefined) throw new InvalidArgumentError('Give batch and length, as in 16x128.');
  return [Number(batch), Number(length)];
}

const options = new Command('bench')
  .option('--quick', 'a minute instead of a few')
  .option('--filter <text>', 'only kernels and jobs whose name has this')
  .option('--json <file>', 'write the results')
  .option('--compare <file>', 'show what moved against results written before')
  .option('--adapter <name>', 'as for the dawngrad command')
  .addOption(new Option('--kernels <family>', 'those for the other kind of adapter').choices(['cpu', 'gpu']))
  .option('--shape <batch>x<length>', 'of the jobs', readShape)
  .option('--html <file>', 'draw the results')
  .option('--peers', 'also the same work in other libraries, those of bench/peers')
  .option('--pytorch <python>', 'also training steps in PyTorch; a Python with torch and transformers')
  .parse()
  .opts<Options>();

if (options.peers === true && !peersInstalled()) {
  console.error('The other libraries are not installed: npm run bench:peers-setup');
  process.exit(1);
}
/** Reads the --json output of an earlier run; ends the program if the file is missing or something else. */
function readResult(path: string): BenchResult {
  try {
    const read = JSON.parse(readFileSync(path, 'utf8')) as Partial<BenchResult>;
    if (read.kernels && read.jobs && read.ceilings) return read as BenchResult;
    console.error(`--compare: ${path} is no result of this bench · write one with --json`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.error(`--compare: ${path} cannot be read: ${reason} · write one with --json`);
  }
  process.exit(1);
}

// Checked before minutes of measuring.
const before = options.compare === undefined ? null : readResult(options.compare);
const device = await requestDevice({
  ...(options.adapter !== undefined && { adapter: options.adapter }),
  ...(options.kernels !== undefined && { kernels: options.kernels }),
});
const seconds = options.quick === true ? 0.3 : 1;
const wanted = (name: string): boolean => options.filter === undefined || name.includes(options.filter);

// Measured first, while the process does nothing else.
const host = wanted('host') ? await measureHost(options.quick === true ? 50 : 200) : [];
const ceilings = await measureCeilings(device, seconds);
const show = (data: TableData): void => console.log(`${textTable(data)}\n`);
console.log(`${device.description}\n`);
show(ceilingTable(ceilings));
if (host.length > 0) show(hostTable(host));

const kernels: KernelResult[] = [];
const able = device.gpu.float16;
const cases = [...matmulCases(device.software, able), ...otherCases(device.software)];
for (const kernel of cases) {
  if (!wanted(`${kernel.family} ${kernel.name}`) || (options.quick === true && kernel.quick !== true))
    continue;
  kernels.push(await runKernel(device, kernel, ceilings, seconds));
}
if (kernels.length > 0) show(kernelTable(kernels));

const kinds = [{ training: false }, { training: true }, { training: true, padded: true }];
const halves = [
  { training: false, fp16: true },
  { training: true, fp16: true },
];
const jobs: JobResult[] = [];
// The larger models take minutes on a software adapter, so they run only if the filter names them.
const usual = jobSizes.slice(0, options.quick === true ? 1 : device.software ? 3 : jobSizes.length);
const sizes = jobSizes.filter((size) => usual.includes(size) || options.filter?.includes(size.name));
const [batch, length] = options.shape ?? (device.software ? [8, 64] : [32, 128]);
for (const size of sizes) {
  const shape = { batch, length, steps: device.software ? 5 : 20 };
  for (const kind of [...kinds, ...(able ? halves : [])]) {
    if (!wanted(`${size.name} ${kind.training ? 'training' : 'inference'}`)) continue;
    jobs.push(await runJob(device, size, { ...kind, ...shape }));
  }
}
if (jobs.length > 0) {
  show(jobTable(jobs, ceilings));
  show(stepTable(jobs));
}
for (const job of jobs) if (job.kernels.length > 0) show(timeTable(job));

// Shares refer to ceilings measured at the start, which are valid only if the machine stayed equally free.
const { fma } = await measureCeilings(device, seconds / 3);
if (Math.abs(fma / ceilings.fma - 1) > 0.15)
  console.log(
    `The multiply-add ceiling is ${(fma / ceilings.fma).toFixed(2)} × what it was: run again on a quiet machine.\n`,
  );

let peers: PeersResult | undefined;
if (options.peers === true || options.pytorch !== undefined) {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  peers = await comparePeers({
    device,
    adapter: options.adapter,
    version,
    seconds,
    quick: options.quick === true,
    libraries: options.peers === true,
    pytorch: options.pytorch,
    wanted: (name) => wanted(`peers ${name}`),
    report: (results) => show(peerTable(results)),
  });
}

const result: BenchResult = {
  adapter: device.description,
  date: new Date().toISOString(),
  ceilings,
  kernels,
  jobs,
  host,
  ...(peers !== undefined && { peers }),
};
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
if (options.html !== undefined) {
  const lines = [`${result.adapter} · ${result.date}`];
  writeFileSync(options.html, htmlPage('dawngrad bench', lines, benchSections(result)));
}
if (before !== null) {
  const moved = comparison(before, result);
  if (moved === null) console.log('nothing moved by more than the noise');
  else show(moved);
}
device.destroy();
// Differing numbers, or a library that does not run, make the benchmark fail.
process.exit(peers?.results.some(({ error }) => error !== undefined) ? 1 : 0);
