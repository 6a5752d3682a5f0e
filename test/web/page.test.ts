/** The page in a real browser; one build and one browser for all of it. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unzipSync } from 'fflate';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AutoModelForSequenceClassification,
  type Device,
  type LogEntry,
  requestDevice,
} from '../../src/index.ts';
import { framesOf, recordFrames, shown } from '../../tools/web/frames.ts';
import {
  buildSite,
  openSite,
  type PageSite,
  startTraining,
  untilFinished,
  untilReady,
  untilStep,
} from '../../tools/web/site.ts';
import { bundle } from '../support/bundle.ts';
import { noChromium, openChromium } from '../support/chromium.ts';
import { faultsInAllLooks } from './axe.ts';
import { examplePlan, trainInNode } from './node-run.ts';
import { dataWays } from './ways/data.ts';
import { folderWays, savingWays } from './ways/folders.ts';
import { hubWays } from './ways/hub.ts';
import { memoryWays } from './ways/memory.ts';
import { openWithRows } from './ways/suite.ts';

if (noChromium !== null) console.warn(`the page is not tested in a browser: ${noChromium}`);

/** Kills the browser's GPU process, as a driver's crash does; the browser starts another. */
async function crashGpu(browser: Browser): Promise<void> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  process.kill(processInfo.find(({ type }) => type === 'GPU')!.id, 'SIGKILL');
}

const numbers = (log: readonly LogEntry[], key: string): number[] =>
  log.flatMap((entry) => (typeof entry[key] === 'number' ? [entry[key]] : []));

/** Cells of the table of evaluations. */
const evaluations = (page: Page): Promise<string[][]> =>
  page
    .locator('.evaluations tbody tr')
    .evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent ?? '')));

describe.skipIf(noChromium !== null)('the page', () => {
  let site: PageSite;
  let browser: Browser;
  let device: Device;
  let scratch = '';
  let page: Page;
  let log: string[];

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    device = await requestDevice({ adapter: 'swiftshader' });
    [site, browser] = await Promise.all([buildSite(), openChromium()]);
    ({ page, log } = await openSite(browser, site));
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
    device?.destroy();
    await rm(scratch, { recursive: true });
  });

  it('reads the embedded example, and counts its classes', async () => {
    await untilReady(page);
    expect(await page.locator('#adapter').textContent()).toMatch(/swiftshader/i);
    expect(await page.locator('.ready').first().textContent()).toContain('bert · 2 layers');
    expect(await page.locator('.bars').first().textContent()).toMatch(/negative\s*230\s*positive\s*230/);
    expect(await faultsInAllLooks(page)).toEqual([]);
  });

  it('trains, and its curve moves', async () => {
    await startTraining(page, 2);
    await untilStep(page, 2);
    await recordFrames(page);
    const plot = page.locator('.plot').first();
    const image = await plot.screenshot();
    const words = await plot.getAttribute('aria-label');
    await untilStep(page, 25);
    expect(await plot.getAttribute('aria-label')).not.toBe(words);
    expect((await plot.screenshot()).equals(image)).toBe(false);
    expect(await page.locator('[data-stat=memory]').textContent()).toMatch(/ MB$/);
    expect(await page.locator('[data-stat=left]').textContent()).toMatch(/ s$/);
    console.info(`while it trains: ${shown(await framesOf(page))}`);
  });

  it('finds its checkpoint after a reload, pauses, and goes on to the end', async () => {
    await page.reload();
    await page
      .getByText(/is unfinished: step \d+ of 58/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: 'Go on' }).click();
    await untilStep(page, 30);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page
      .getByText(/Paused at step \d+ of 58/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await untilFinished(page);
    expect((await evaluations(page)).map(([epoch, step]) => [epoch, step])).toEqual([
      ['1.0', '29'],
      ['2.0', '58'],
    ]);
    expect(await faultsInAllLooks(page)).toEqual([]);
  });

  it('gives its model as a zip, with the losses and the weights of the same run in Node', async () => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('Embedded-example-fine-tuned.zip');
    const files = unzipSync(await readFile(await download.path()));
    const folder = join(scratch, 'tab');
    for (const [name, bytes] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), bytes);
    }
    const read = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8'));
    expect((await read('config.json')).architectures).toEqual(['BertForSequenceClassification']);
    const inNode = await trainInNode(device, examplePlan(join(scratch, 'node'), 2));
    const history: LogEntry[] = (await read('trainer_state.json')).log_history;
    const [losses, expected] = [numbers(history, 'loss'), numbers(inNode.run.log, 'loss')];
    expect(losses).toHaveLength(58);
    for (const [at, loss] of losses.entries())
      expect(Math.abs(loss - expected[at]!), `step ${at + 1}`).toBeLessThan(1e-3);
    expect(numbers(history, 'eval_accuracy')).toEqual(numbers(inNode.run.log, 'eval_accuracy'));
    const tab = await AutoModelForSequenceClassification.fromPretrained(folder, { device });
    const weights = inNode.model.stateDict();
    for (const [name, tensor] of tab.stateDict()) {
      const [a, b] = await Promise.all([tensor.float32Data(), weights.get(name)!.float32Data()]);
      const far = a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at]!)), 0);
      expect(far, name).toBeLessThan(1e-3);
    }
  });

  it('opens its finished model after a reload', async () => {
    await page.reload();
    await page
      .getByText(/last fine-tuned model is kept/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: 'Open it' }).click();
    await untilFinished(page);
    expect(await evaluations(page)).toHaveLength(2);
  });

  it('predicts a sentence', async () => {
    await page.getByLabel('Try a sentence').fill('I loved every minute of it');
    await page.getByRole('button', { name: 'Predict' }).click();
    await page
      .getByText(/The model says positive/)
      .first()
      .waitFor();
    expect(await faultsInAllLooks(page)).toEqual([]);
    expect(log).toEqual([]);
  });

  it('learns from rows typed in it, by the keyboard alone, on a GPU with the least features', async () => {
    const { page: typed } = await openSite(browser, site);
    // The worker's script begins so: neither float16 nor subgroups.
    await typed.route('**/assets/main-*.js', async (route) => {
      const response = await route.fetch();
      const bare = "Object.defineProperty(GPUAdapter.prototype, 'features', { value: new Set() });";
      await route.fulfill({ response, body: `${bare}\n${await response.text()}` });
    });
    await typed.reload();
    await untilReady(typed);
    await typed.getByRole('radio', { name: 'Example' }).nth(1).focus();
    await typed.keyboard.press('ArrowRight');
    await typed.keyboard.press('ArrowRight');
    await typed.keyboard.press('Tab');
    for (const [text, label] of [
      ['the soup was cold', 'bad'],
      ['a lovely room', 'good'],
      ['rude and slow', 'bad'],
    ] as const) {
      await typed.keyboard.type(text);
      await typed.keyboard.press('Tab');
      await typed.keyboard.type(label);
      await typed.keyboard.press('Enter');
    }
    const train = typed.getByRole('button', { name: 'Train', exact: true });
    expect(await train.isDisabled()).toBe(true);
    expect(await typed.locator('.rows-editor').textContent()).toContain('“good” has one row');
    await typed.keyboard.type('we loved it');
    await typed.keyboard.press('Tab');
    await typed.keyboard.type('good');
    await untilReady(typed);
    expect(await typed.locator('.rows-editor .bars').textContent()).toMatch(/bad\s*2\s*good\s*2/);
    expect(await faultsInAllLooks(typed)).toEqual([]);
    await typed.getByText('More settings').click();
    await typed.getByText('no shader-f16').first().waitFor();
    await startTraining(typed, 2);
    await untilFinished(typed);
    await typed.context().close();
  });

  it('reads a file, and says what is wrong with one', async () => {
    const { page: files } = await openSite(browser, site);
    await untilReady(files);
    await files.getByRole('radio', { name: 'A file' }).check();
    const input = files.getByLabel('To learn from');
    const csv = (text: string) => ({ name: 'shop.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });
    await input.setInputFiles(csv('text,label\nfine,yes\nbad,no\ngood,yes\nawful,no\nnice,yes\n'));
    await files.getByText('5 rows').first().waitFor();
    expect(await files.locator('.bars').textContent()).toMatch(/no\s*2\s*yes\s*3/);
    await input.setInputFiles(csv('text,label\nfine,yes\nbad,yes\n'));
    await files.getByRole('alert').waitFor();
    expect(await files.getByRole('alert').textContent()).toContain("every row has the label 'yes'");
    expect(await files.getByRole('button', { name: 'Train', exact: true }).isDisabled()).toBe(true);
    await files.context().close();
  });

  it('says so without WebGPU, and what helps', async () => {
    const context = await browser.newContext();
    const bare = await context.newPage();
    await bare.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined }));
    await bare.goto(site.url);
    const text = await bare.getByRole('alert').textContent();
    for (const part of ['does not offer WebGPU', 'Chrome and Edge', 'Safari', 'Firefox', 'What helps'])
      expect(text).toContain(part);
    expect(await faultsInAllLooks(bare)).toEqual([]);
    await context.close();
  });

  describe('ways into it', () => {
    let opened: Awaited<ReturnType<typeof openWithRows>>;
    beforeAll(async () => {
      opened = await openWithRows({ site, browser });
    });
    afterAll(() => opened?.page.context().close());
    dataWays(() => opened);
    hubWays(() => opened);
    savingWays(() => ({ ...opened, device }));
    folderWays(() => opened);

    it('answers after the GPU was lost, with the model on another', async () => {
      const { page, log } = opened;
      await crashGpu(browser);
      await page.getByLabel('Try a sentence').fill('bo met a tall band');
      await page.getByRole('button', { name: 'Predict' }).click();
      await page.locator('.token-text', { hasText: 'bo met a tall band' }).waitFor();
      await page.getByText('What the layers look at').click();
      await page.getByLabel('Token that looks', { exact: true }).waitFor();
      expect(log.filter((line) => line.startsWith('error'))).toEqual([]);
    });
  });

  memoryWays(() => ({ site, browser }));

  it('computes the smoke subset of the op table', async () => {
    const { code } = await bundle(
      "export { requestDevice } from './src/index.ts'; export { smoke } from './test/tensor/op-smoke.ts'",
    );
    await page.route('**/operations.js', (route) =>
      route.fulfill({ contentType: 'text/javascript', body: code }),
    );
    const result = (await page.evaluate(
      `import('${site.url}operations.js').then(async ({ requestDevice, smoke }) => smoke(await requestDevice()))`,
    )) as { adapter: string; count: number; wrong: string[] };
    expect(result.adapter).toMatch(/swiftshader/i);
    expect(result.count).toBeGreaterThan(40);
    expect(result.wrong).toEqual([]);
  });

  it('keeps its last checkpoint when the GPU is lost, and goes on', async () => {
    const { page: losing } = await openSite(browser, site);
    await startTraining(losing, 1);
    await untilStep(losing, 12);
    await crashGpu(browser);
    await losing.getByText('The browser lost the GPU').first().waitFor();
    expect(
      await losing
        .getByText(/checkpoint of step 10 is kept/)
        .first()
        .isVisible(),
    ).toBe(true);
    expect(await losing.getByRole('alert').textContent()).toContain('halve the batch size');
    await losing.getByRole('button', { name: 'Resume in half batches' }).click();
    await untilStep(losing, 14);
    await losing.getByRole('button', { name: 'Stop' }).click();
    await untilFinished(losing);
    await losing.context().close();
  });
});
