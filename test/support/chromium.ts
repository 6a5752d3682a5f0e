/** A page of a real browser: Debian's Chromium on the packaged software adapter, driven by playwright-core. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Why no browser can be opened here; null if one can. */
export const noChromium: string | null = existsSync(EXECUTABLE)
  ? null
  : `no ${EXECUTABLE}: apt-get install chromium, or name one by CHROMIUM`;

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
};

export interface SiteOptions {
  /** Files of the site by path, beside those of the repository. */
  files?: Record<string, string>;
  /** As single-page servers do, answers a missing file with the page in place of 404. */
  fallback?: boolean;
}

export interface Site {
  url: string;
  /** Method, path and status of each request. */
  requests: string[];
  close(): Promise<void>;
}

const PAGE = '<!doctype html><title>dawngrad</title><p>a page</p>';

/** Serves the repository's folder, and more files, on a local port. */
export async function serve({ files = {}, fallback = false }: SiteOptions = {}): Promise<Site> {
  const requests: string[] = [];
  const server = createServer(async ({ url, method, headers }, response) => {
    const path = decodeURIComponent(new URL(url!, 'http://site').pathname);
    const text = files[path] ?? (path === '/' ? PAGE : undefined);
    const bytes = text === undefined ? await readFile(join(ROOT, path)).catch(() => null) : Buffer.from(text);
    const missing = bytes === null;
    const type = missing ? '.html' : extname(path) || '.html';
    const range = missing ? null : /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
    const body = bytes ?? Buffer.from(fallback ? PAGE : 'not found');
    const part = range === null ? body : body.subarray(Number(range[1]), Number(range[2]) + 1);
    const status = missing && !fallback ? 404 : range === null ? 200 : 206;
    requests.push(`${method} ${path} ${status}`);
    response.writeHead(status, {
      'content-type': TYPES[type] ?? 'application/octet-stream',
      'content-length': part.length,
    });
    response.end(method === 'HEAD' ? undefined : part);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Opens Chromium with WebGPU on SwiftShader. */
export function openChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: ['--headless=new', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--no-sandbox'],
  });
}

/** A page of a site; what it logs and throws goes to `log`. */
export async function openPage(browser: Pick<Browser, 'newPage'>, site: Site, log: string[]): Promise<Page> {
  const page = await browser.newPage();
  page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => log.push(`error: ${error.stack ?? error.message}`));
  await page.goto(`${site.url}/`);
  return page;
}
