/**
 * Measures the page: what it weighs, how long two epochs of the embedded example take in it and in Node, on
 * the packaged software adapter (by turns), how long the first step takes, and how smoothly the page runs
 * meanwhile. Prints a line each.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { requestDevice } from '../../src/index.ts';
import { openChromium } from '../../test/support/chromium.ts';
import { examplePlan } from '../../test/web/node-run.ts';
import type { TrainEvent } from '../../web/src/contract.ts';
import { runTraining } from '../../web/src/worker/training.ts';
import { framesOf, recordFrames, shown } from './frames.ts';
import { buildSite, openSite, startTraining, untilFinished, untilStep } from './site.ts';

const TURNS = Number(process.argv[2] ?? 2);
const EPOCHS = 2;

interface Times {
  /** From the start, model and data read included, to the first step's end. */
  first: number;
  /** From there to the end. */
  rest: number;
}

const seconds = (from: number): number => (performance.now() - from) / 1000;

async function inNode(): Promise<Times> {
  const folder = await mkdtemp(join(tmpdir(), 'dawngrad-'));
  const device = await requestDevice({ adapter: 'swiftshader' });
  const started = performance.now();
  let first = 0;
  const onEvent = (event: TrainEvent): void => {
    if (event.kind === 'step') first ||= seconds(started);
  };
  await runTraining(device, examplePlan(folder, EPOCHS), { pause: false, stop: false }, onEvent);
  const times = { first, rest: seconds(started) - first };
  device.destroy();
  await rm(folder, { recursive: true });
  return times;
}

const site = await buildSite();
const assets = join(site.folder, 'assets');
for (const name of (await readdir(assets)).sort()) {
  const bytes = await readFile(join(assets, name));
  console.log(
    `${name}: ${Math.round(bytes.length / 1000)} kB, ${Math.round(gzipSync(bytes).length / 1000)} kB gzip`,
  );
}

async function inTab(): Promise<Times> {
  const browser = await openChromium();
  const { page } = await openSite(browser, site);
  await startTraining(page, EPOCHS);
  const started = performance.now();
  await untilStep(page, 1);
  const first = seconds(started);
  await recordFrames(page);
  await untilFinished(page);
  const times = { first, rest: seconds(started) - first };
  console.log(`in the tab, while it trains: ${shown(await framesOf(page))}`);
  await browser.close();
  return times;
}

for (let turn = 0; turn < TURNS; turn += 1) {
  const [node, tab] = [await inNode(), await inTab()];
  for (const [name, { first, rest }] of Object.entries({ Node: node, tab }))
    console.log(`${name}: first step after ${first.toFixed(1)} s, the others in ${rest.toFixed(1)} s`);
  const ratio = (tab.first + tab.rest) / (node.first + node.rest);
  console.log(
    `tab / Node: ${(tab.rest / node.rest).toFixed(2)} after the first step, ${ratio.toFixed(2)} in all`,
  );
}
await site.close();
process.exit(0);
