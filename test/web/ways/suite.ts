/** What the tests of ways into the page share: one build, one browser, a tiny model and a few rows. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { openSite, type PageSite, untilReady } from '../../../tools/web/site.ts';

export interface Suite {
  site: PageSite;
  browser: Browser;
}

/** Of `expect.poll`: guards against hangs only. */
export const patience = { timeout: 4 * 60_000 };

export type Files = Record<string, Uint8Array>;

const folder = fileURLToPath(new URL('../../reference/fixtures/tasks/fill-mask/', import.meta.url));

/** A BERT of two layers, 12 wide, that knows 46 words. */
export async function tinyModel(): Promise<Files> {
  const names = ['config.json', 'model.safetensors', 'tokenizer_config.json', 'vocab.txt'];
  return Object.fromEntries(
    await Promise.all(
      names.map(async (name) => [name, new Uint8Array(await readFile(folder + name))] as const),
    ),
  );
}

/** Six rows of each of two classes. */
export const rows: readonly (readonly [text: string, label: string])[] = [
  'ann loves the choir',
  'bo met a tall band',
  'she saw paris and oslo',
  'they sing in new york',
  'he visits the old house',
  'a small river near oslo',
].flatMap((text) => [[text, 'good'] as const, [`${text} , who ?`, 'bad'] as const]);

export const csv = (header: string, lines: readonly (readonly string[])[]): string =>
  `${header}\n${lines.map((cells) => cells.map((cell) => `"${cell}"`).join(',')).join('\n')}\n`;

export const fileOf = (name: string, content: string | Uint8Array) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content as string),
});

/** Opens the page, and takes the rows to learn from. */
export async function openWithRows({ browser, site }: Suite): Promise<{ page: Page; log: string[] }> {
  const opened = await openSite(browser, site);
  await untilReady(opened.page);
  await takeRows(opened.page);
  return opened;
}

export async function takeRows(page: Page): Promise<void> {
  await takeData(page, fileOf('rows.csv', csv('text,label', rows)));
  await page.getByText('12 rows').first().waitFor();
}

export async function takeData(page: Page, file: ReturnType<typeof fileOf>): Promise<void> {
  await page.getByRole('radio', { name: 'A file' }).check();
  await page.getByLabel('To learn from').setInputFiles(file);
}

/** The text of the alert that a card shows. */
export async function troubleIn(page: Page, card: string): Promise<string> {
  const alert = page.getByRole('region', { name: card }).getByRole('alert');
  await alert.waitFor();
  return (await alert.allInnerTexts()).join(' ').replaceAll(/\s+/g, ' ');
}

/** Paths of the files in the page's own file system, below a folder. */
export const keptFiles = async (page: Page, path: string): Promise<string[]> =>
  Object.keys(await readKept(page, path)).sort();

/** Those files by their paths. */
export async function readKept(page: Page, path: string): Promise<Files> {
  const texts = await page.evaluate(async (below) => {
    const found: [string, string][] = [];
    const visit = async (folder: FileSystemDirectoryHandle, prefix: string): Promise<void> => {
      for await (const [name, entry] of folder as unknown as AsyncIterable<[string, FileSystemHandle]>) {
        if (entry.kind === 'directory') await visit(entry as FileSystemDirectoryHandle, `${prefix}${name}/`);
        else {
          const bytes = new Uint8Array(await (await (entry as FileSystemFileHandle).getFile()).arrayBuffer());
          found.push([`${prefix}${name}`, String.fromCharCode(...bytes)]);
        }
      }
    };
    let folder = await navigator.storage.getDirectory();
    for (const name of below.split('/')) folder = await folder.getDirectoryHandle(name, { create: true });
    await visit(folder, '');
    return found;
  }, path);
  return Object.fromEntries(texts.map(([name, text]) => [name, Buffer.from(text, 'latin1')]));
}

/** Writes files into a folder there. */
export async function writeKept(page: Page, folder: string, files: Files): Promise<void> {
  const texts = Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes).toString('latin1')]);
  await page.evaluate(
    async ([at, content]) => {
      const root = await navigator.storage.getDirectory();
      const handle = await root.getDirectoryHandle(at as string, { create: true });
      for (const [name, text] of content as string[][]) {
        const file = await handle.getFileHandle(name!, { create: true });
        const writable = await file.createWritable();
        await writable.write(Uint8Array.from(text!, (letter) => letter.charCodeAt(0)));
        await writable.close();
      }
    },
    [folder, texts] as const,
  );
}
