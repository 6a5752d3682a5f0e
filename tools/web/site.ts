/** The built page in a real browser, for tests, screenshots and measurements. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { build, preview } from 'vite';

const configFile = fileURLToPath(new URL('../../web/vite.config.ts', import.meta.url));

const PATIENCE_MS = 4 * 60_000;

export interface PageSite {
  url: string;
  /** The static folder. */
  folder: string;
  close(): Promise<void>;
}

/** Builds the page into a folder of its own, and serves it as any host of static files does. */
export async function buildSite(): Promise<PageSite> {
  const folder = await mkdtemp(join(tmpdir(), 'dawngrad-page-'));
  await build({ configFile, logLevel: 'error', build: { outDir: folder } });
  const server = await preview({
    configFile,
    appType: 'mpa',
    logLevel: 'error',
    build: { outDir: folder },
    preview: { host: '127.0.0.1', port: 0, open: false },
  });
  return {
    url: server.resolvedUrls!.local[0]!,
    folder,
    close: async () => {
      await server.close();
      await rm(folder, { recursive: true });
    },
  };
}

export interface OpenedPage {
  page: Page;
  /** What the page logged and threw. */
  log: string[];
}

/** A page in a context of its own: nothing is kept from another. */
export async function openSite(
  browser: Browser,
  { url }: Pick<PageSite, 'url'>,
  options: BrowserContextOptions = {},
): Promise<OpenedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // Guards against hangs: a software adapter beside other work is slow.
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const log: string[] = [];
  page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => log.push(`error: ${error.stack ?? error.message}`));
  await page.goto(url);
  return { page, log };
}

/** Waits until model and data are read. */
export async function untilReady(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Train', exact: true, disabled: false }).waitFor();
}

/** Sets the epochs, and begins a training. */
export async function startTraining(page: Page, epochs: number): Promise<void> {
  await untilReady(page);
  await page.getByLabel('Epochs').fill(String(epochs));
  await page.getByRole('button', { name: 'Train', exact: true }).click();
}

/** Waits until the training has taken some steps. */
export async function untilStep(page: Page, step: number): Promise<void> {
  await page.waitForFunction(
    (wanted) => Number.parseInt(document.querySelector('[data-stat=step]')?.textContent ?? '', 10) >= wanted,
    step,
  );
}

/** Waits for the results of a training. */
export async function untilFinished(page: Page): Promise<void> {
  await page.getByRole('heading', { name: 'The model' }).waitFor();
}
