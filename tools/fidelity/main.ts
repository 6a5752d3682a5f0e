/**
 * Every family and head beside a live transformers, written to docs/fidelity.md.
 *
 *     npm run fidelity
 *     npm run fidelity -- --python /path/to/python    # or DAWNGRAD_PYTHON: one that has the packages
 *     npm run fidelity -- --family bert electra       # prints these rows, and writes nothing
 *     npm run fidelity -- --keep made                 # and after a change of the engine, in a few minutes:
 *     npm run fidelity -- --reuse made
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { modelTypes } from '../../src/models/registry.ts';
import { type Device, requestDevice } from '../../src/tensor/device.ts';
import { type Drift, drift } from './drift.ts';
import { type Folders, measure, measureBack, measureHalf, type Row, sideOf } from './measure.ts';
import { findPython, type Python, run } from './python.ts';
import { driftFailures, failuresOf, markdown, rowTable } from './report.ts';
import { type Subject, subjects } from './subjects.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = join(root, 'docs/fidelity.md');

const options = new Command('fidelity')
  .addOption(
    new Option(
      '--python <path>',
      'use this Python, which has the packages of test/reference/requirements.txt',
    ).env('DAWNGRAD_PYTHON'),
  )
  .addOption(
    new Option(
      '--family <names...>',
      'only these; prints the rows and leaves docs/fidelity.md as it is',
    ).choices(modelTypes),
  )
  .option('--keep <folder>', 'keep fixtures and saved models in this new folder')
  .option(
    '--reuse <folder>',
    'take the fixtures that a whole run kept, and compare this engine with them again',
  )
  .parse()
  .opts<{ python?: string; family?: string[]; keep?: string; reuse?: string }>();

const stop = new AbortController();
const say = (line: string): void => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);

/** Scripts that write fixtures, in an order in which each finds what it reads. */
async function scripts(reference: string): Promise<string[]> {
  const all = (await readdir(reference)).filter((name) => /_fixtures\.py$/.test(name)).sort();
  const first = 'model_fixtures.py';
  return [first, ...all.filter((name) => name !== first), 'hub_environment.py'];
}

/** Runs the scripts in a copy of test/reference/ in `scratch`, and the steps. */
async function makeFixtures(python: Python, scratch: string, all: boolean): Promise<void> {
  const reference = join(scratch, 'reference');
  const fixtures = join(reference, 'fixtures');
  const source = join(root, 'test/reference');
  await mkdir(fixtures, { recursive: true });
  for (const name of await readdir(source))
    if (/\.(py|b64)$/.test(name)) await cp(join(source, name), join(reference, name));
  // Vocabularies are trained once, and kept.
  for (const name of ['bert-cased', 'bert-uncased']) {
    const file = `tokenizers/${name}/vocab.txt`;
    await cp(join(source, 'fixtures', file), join(fixtures, file));
  }
  const wanted = all ? await scripts(reference) : ['model_fixtures.py'];
  for (const [i, script] of wanted.entries()) {
    say(`fixtures ${i + 1}/${wanted.length}: ${script}`);
    await python.mustRun([join(reference, script)], { legacy: script === 'task_metrics_fixtures.py' });
  }
  say('twenty steps of every model in PyTorch');
  const names = options.family === undefined ? [] : subjects(options.family).map(({ name }) => name);
  const steps = join(reference, 'training_steps.py');
  await python.mustRun([steps, join(fixtures, 'models'), join(scratch, 'steps'), ...names]);
}

/** Rows with their subjects. */
type Measured = [Subject, Row][];

async function measureAll(device: Device, wanted: readonly Subject[], folders: Folders): Promise<Measured> {
  const measured: Measured = [];
  for (const [i, subject] of wanted.entries()) {
    stop.signal.throwIfAborted();
    say(`here ${i + 1}/${wanted.length}: ${subject.name}`);
    measured.push([subject, await measure(device, subject, folders)]);
    if (subject.head === 'single' && device.gpu.float16)
      for (const row of await measureHalf(device, subject, folders)) measured.push([subject, row]);
  }
  return measured;
}

interface Checked {
  name: string;
  max_difference: number | null;
  problems: string[];
}

/** Has transformers load what was saved, and save it again. */
async function checkThere(python: Python, measured: Measured, folders: Folders): Promise<void> {
  const results = new Map<string, Checked>();
  for (const side of ['current', 'legacy'] as const) {
    if (!measured.some(([subject]) => sideOf(subject) === side)) continue;
    say(`loading in transformers: ${side}`);
    const script = join(root, 'test/reference/check_roundtrip.py');
    const [saved, resaved] = [join(folders.saved, side), join(folders.resaved, side)];
    // 1: some row is not right, which the lines say.
    const { stdout, stderr, code } = await python.run([script, '--each', saved, '--again', resaved], {
      legacy: side === 'legacy',
    });
    if (code > 1) throw new Error(`check_roundtrip.py failed:\n${stderr}`);
    for (const line of stdout.split('\n').filter((text) => text.startsWith('{'))) {
      const checked = JSON.parse(line) as Checked;
      results.set(checked.name, checked);
    }
  }
  for (const [, row] of measured) {
    const checked = results.get(row.name);
    row.into = checked?.max_difference ?? Number.NaN;
    row.problems.push(...(checked?.problems ?? ['transformers has not loaded it']));
  }
}

/** The lines of a file of requirements. */
async function pins(name: string): Promise<string[]> {
  return (await readFile(join(root, 'test/reference', name), 'utf8')).trim().split('\n');
}

async function compareAll(scratch: string): Promise<{ rows: Row[]; drift: Drift[]; text: string }> {
  const python = await findPython(root, options.python, stop.signal, say);
  const versions = await python.versions();
  const wanted = subjects(options.family);
  await python.installLegacy();
  const made = options.reuse ?? scratch;
  if (options.reuse === undefined) await makeFixtures(python, scratch, options.family === undefined);
  const fixtures = join(made, 'reference/fixtures');
  const groups = options.family?.map((family) => `models, ${family}`);
  const found = await drift(
    fixtures,
    join(root, 'test/reference/fixtures'),
    (group) => groups?.includes(group) ?? true,
  );
  const folders: Folders = {
    models: join(fixtures, 'models'),
    steps: join(made, 'steps'),
    saved: join(scratch, 'saved'),
    resaved: join(scratch, 'resaved'),
  };
  const device = await requestDevice();
  try {
    const measured = await measureAll(device, wanted, folders);
    await checkThere(python, measured, folders);
    say('loading here what transformers saved');
    for (const [subject, row] of measured) {
      stop.signal.throwIfAborted();
      await measureBack(device, subject, row, folders).catch((error: Error) => {
        row.problems.push(`what transformers saved does not load: ${error.message}`);
      });
    }
    const rows = measured.map(([, row]) => row);
    const [pinned, legacy] = await Promise.all(['requirements.txt', 'requirements-4.txt'].map(pins));
    const text = markdown({
      rows,
      drift: found,
      versions,
      pinned: pinned!,
      legacy: legacy!.find((line) => line.startsWith('transformers=='))!.split('==')[1]!,
      adapter: device.description,
      processor: cpus()[0]?.model ?? 'an unknown processor',
      date: new Date().toISOString().slice(0, 10),
    });
    return { rows, drift: found, text };
  } finally {
    device.destroy();
  }
}

/** Writes the page whole, formatted as every page is. */
async function writePage(text: string): Promise<void> {
  const draft = join(root, 'docs/fidelity-draft.md');
  try {
    await writeFile(draft, text);
    const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
    const args = [biome, 'format', '--write', draft];
    const { code, stderr } = await run(process.execPath, args, { signal: stop.signal });
    if (code !== 0) throw new Error(`biome format failed:\n${stderr}`);
    await rename(draft, page);
  } finally {
    await rm(draft, { force: true });
  }
}

for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => stop.abort(new Error(`stopped; docs/fidelity.md is as it was`)));

if (options.keep !== undefined) await mkdir(options.keep);
const scratch = options.keep ?? (await mkdtemp(join(tmpdir(), 'dawngrad-fidelity-')));
try {
  const { rows, drift: found, text } = await compareAll(scratch);
  if (options.family === undefined) {
    await writePage(text);
    say('wrote docs/fidelity.md');
  } else console.log(rowTable(rows));
  const failures = [...rows.flatMap(failuresOf), ...driftFailures(found)];
  for (const line of failures) console.error(line);
  console.error(
    failures.length === 0 ? `${rows.length} rows, all within their limits` : `${failures.length} failures`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
} catch (error) {
  const reason = stop.signal.aborted ? stop.signal.reason : error;
  console.error(reason instanceof Error ? reason.message : String(reason));
  process.exitCode = stop.signal.aborted ? 130 : 1;
} finally {
  if (options.keep === undefined) await rm(scratch, { recursive: true, force: true });
}
