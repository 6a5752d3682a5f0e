/** Folders of the user: the finished model saved to one, and models chosen or dropped. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AutoModelForSequenceClassification, AutoTokenizer, type Device } from '../../../src/index.ts';
import { startTraining, untilFinished, untilReady } from '../../../tools/web/site.ts';
import { type Files, keptFiles, patience, readKept, tinyModel, troubleIn, writeKept } from './suite.ts';

const MODEL = ['config.json', 'model.safetensors', 'tokenizer_config.json', 'vocab.txt'];

/** Has the picker of folders give a folder of the page's own file system: its handles are those of any folder. */
function pickNext(page: Page, name: string): Promise<void> {
  return page.evaluate(async (wanted) => {
    const root = await navigator.storage.getDirectory();
    const handle = await root.getDirectoryHandle(wanted, { create: true });
    Object.assign(window, { showDirectoryPicker: async () => handle });
  }, name);
}

const cancelNext = (page: Page): Promise<void> =>
  page.evaluate(() => {
    const closed = () => Promise.reject(new DOMException('The user aborted a request.', 'AbortError'));
    Object.assign(window, { showDirectoryPicker: closed });
  });

/** Drops a folder, or files, of the disk into the middle of an element, as a user does. */
async function drop(page: Page, selector: string, paths: readonly string[]): Promise<void> {
  await page.locator(selector).first().scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await page.locator(selector).first().boundingBox())!;
  const session = await page.context().newCDPSession(page);
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
    await session.send('Input.dispatchDragEvent', {
      type,
      x: x + width / 2,
      y: y + height / 2,
      data: { items: [], files: [...paths], dragOperationsMask: 1 },
    });
  await session.detach();
}

async function onDisk(files: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dawngrad-picked-'));
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
  return folder;
}

/** Asked of a page with a finished training. */
export function savingWays(get: () => { page: Page; device: Device }): void {
  describe('the finished model, saved to a folder', () => {
    let page: Page;
    let device: Device;
    const save = () => page.getByRole('button', { name: 'Save to a folder…' }).click();
    const status = () => page.locator('.results > .card-status');
    beforeAll(() => {
      ({ page, device } = get());
    });

    it('is in an empty folder itself, and Node reads the weights that the page has', async () => {
      await pickNext(page, 'empty');
      await save();
      await page.getByText(/Saved in empty: /).waitFor();
      const names = await keptFiles(page, 'empty');
      expect(names).toEqual(expect.arrayContaining(MODEL));
      expect(names.filter((name) => name.includes('/') || name.startsWith('dawngrad-'))).toEqual([]);
      const folder = await onDisk(await readKept(page, 'empty'));
      const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device });
      const tokenizer = await AutoTokenizer.fromPretrained(folder);
      expect(model.config.id2label).toEqual({ 0: 'bad', 1: 'good' });
      const kept = await readKept(page, 'dawngrad-page/run');
      expect((await readKept(page, 'empty'))['model.safetensors']).toEqual(kept['model.safetensors']);
      expect(tokenizer.encode('ann loves the choir').inputIds).toHaveLength(6);
      model.dispose();
      await rm(folder, { recursive: true });
    });

    it('leaves alone what is in a folder, and gets one of its own there', async () => {
      await writeKept(page, 'full', { 'config.json': Buffer.from('mine') });
      await pickNext(page, 'full');
      await save();
      await page.getByText(/Saved in full\/\S+-fine-tuned: /).waitFor();
      await save();
      await page.getByText(/Saved in full\/\S+-fine-tuned-2: /).waitFor();
      const names = await keptFiles(page, 'full');
      expect(names.filter((name) => !name.includes('/'))).toEqual(['config.json']);
      expect(names.filter((name) => name.endsWith('/model.safetensors'))).toHaveLength(2);
      expect(Buffer.from((await readKept(page, 'full'))['config.json']!).toString()).toBe('mine');
    });

    it('says so if the browser refuses, or the disk is full, and leaves no half of a model', async () => {
      await cancelNext(page);
      await save();
      await expect.poll(() => status().textContent(), patience).toBe('');
      await writeKept(page, 'refused', { 'mine.txt': Buffer.from('mine') });
      await pickNext(page, 'refused');
      await page.workers()[0]!.evaluate(() => {
        const { prototype } = FileSystemDirectoryHandle;
        const own = prototype.getDirectoryHandle;
        prototype.getDirectoryHandle = async function (name, options) {
          if (this.name !== 'refused' || options?.create !== true) return own.call(this, name, options);
          throw new DOMException('The request is not allowed by the user agent.', 'NotAllowedError');
        };
      });
      await save();
      expect(await troubleIn(page, 'The model')).toMatch(
        /The browser keeps the page out of that folder.*allow the page to use the folder/,
      );
      // The browser gives the page no more than it has.
      const session = await page.context().newCDPSession(page);
      const origin = new URL(page.url()).origin;
      const { usage } = await session.send('Storage.getUsageAndQuota', { origin });
      await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usage + 2000 });
      await writeKept(page, 'small', { 'mine.txt': Buffer.from('mine') });
      await pickNext(page, 'small');
      await save();
      expect(await troubleIn(page, 'The model')).toMatch(/The disk is full.*Free some space/);
      expect(await keptFiles(page, 'small')).toEqual(['mine.txt']);
      await session.send('Storage.overrideQuotaForOrigin', { origin });
      await save();
      await page.getByText(/Saved in small\//).waitFor();
    });
  });
}

export function folderWays(get: () => { page: Page }): void {
  describe('a model of a folder', () => {
    let page: Page;
    let files: Files;
    let folder: string;
    const choose = () => page.getByRole('button', { name: 'Choose a folder…' }).click();
    const trainIsOff = () => page.getByRole('button', { name: 'Train', exact: true }).isDisabled();

    beforeAll(async () => {
      ({ page } = get());
      files = await tinyModel();
      folder = await onDisk(files);
      await page.getByRole('radio', { name: 'Folder or files' }).check();
    });
    afterAll(() => rm(folder, { recursive: true }));

    it('is learned from: the saved one again, with the classes that it has', async () => {
      await pickNext(page, 'empty');
      await choose();
      await untilReady(page);
      expect(await page.locator('.ready').first().textContent()).toMatch(/^empty bert · 2 layers/);
      await cancelNext(page);
      await choose();
      await untilReady(page);
      await startTraining(page, 1);
      await untilFinished(page);
      expect(await page.locator('.results').textContent()).toContain('Fine-tuned from empty');
      await page.getByLabel('Try a sentence').fill('ann loves the choir');
      await page.getByRole('button', { name: 'Predict' }).click();
      await page
        .getByText(/The model says (good|bad)/)
        .first()
        .waitFor();
    });

    it('is dropped, as a folder or as its files, or chosen by an input', async () => {
      const [first] = [page.locator('.ready').first()];
      await drop(page, '.drop', [folder]);
      await expect.poll(() => first.textContent(), patience).toContain(`${basename(folder)} bert`);
      await drop(
        page,
        '.drop',
        MODEL.map((name) => join(folder, name)),
      );
      await expect.poll(() => first.textContent(), patience).toMatch(/^Your files bert/);
      await page.locator('input[webkitdirectory]').setInputFiles(folder);
      await expect.poll(() => first.textContent(), patience).toContain(`${basename(folder)} bert`);
      await untilReady(page);
      // Beside the place for it, a drop must not take the page away.
      await drop(page, 'h1', [join(folder, 'config.json')]);
      await untilReady(page);
    });

    it('has words for what is wrong with it', async () => {
      const { 'model.safetensors': weights, ...rest } = files;
      const wrong: [name: string, files: Files, words: RegExp][] = [
        ['nothing', {}, /'config\.json' does not exist/],
        ['no-config', { 'vocab.txt': rest['vocab.txt']! }, /'config\.json' does not exist/],
        ['no-tokenizer', { 'config.json': rest['config.json']! }, /no-tokenizer' has no tokenizer files/],
        [
          'pickled',
          { ...rest, 'pytorch_model.bin': weights! },
          /pickled' has no model\.safetensors.*in Python/i,
        ],
        [
          'cut',
          { ...files, 'model.safetensors': weights!.subarray(0, 9000) },
          /weights of the model cannot be used model\.safetensors.*cut off or damaged/,
        ],
        [
          'gpt',
          { ...files, 'config.json': Buffer.from('{"model_type": "gpt2"}') },
          /Models of this kind cannot be trained here.*gpt2/,
        ],
      ];
      for (const [name, content, words] of wrong) {
        await writeKept(page, name, content);
        await pickNext(page, name);
        await choose();
        await expect.poll(() => troubleIn(page, 'Model'), { message: name, ...patience }).toMatch(words);
        expect(await trainIsOff()).toBe(true);
      }
    });
  });
}
