/** Fine-tuning in a tab of a real browser: two epochs of the embedded example, beside the same run in Node. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AutoModelForSequenceClassification, requestDevice } from '../../src/index.ts';
import { bundle } from '../support/bundle.ts';
import { noChromium, openChromium, openPage, type Site, serve } from '../support/chromium.ts';
import type { Calls } from './page.ts';
import { type Run, trainExample } from './training.ts';

if (noChromium !== null) console.warn(`training in a browser is not tested: ${noChromium}`);

type Call = <K extends keyof Calls>(
  name: K,
  ...args: Parameters<Calls[K]>
) => Promise<Awaited<ReturnType<Calls[K]>>>;

describe.skipIf(noChromium !== null)('in a tab', () => {
  let site: Site;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const log: string[] = [];
  const example = fileURLToPath(new URL('../../examples/sentiment', import.meta.url));
  let scratch = '';
  let inNode: Run;
  let inTab: Run;

  const call = ((name: string, ...args: unknown[]) =>
    page.evaluate(
      `import('/page.js').then(({ calls }) => calls[${JSON.stringify(name)}](...${JSON.stringify(args)}))`,
    )) as Call;

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    const { code } = await bundle("export { calls } from './test/browser/page.ts'");
    const html = '<!doctype html><link rel="icon" href="data:,">';
    site = await serve({ files: { '/': html, '/page.js': code } });
    browser = await openChromium();
    context = await browser.newContext();
    page = await openPage(context, site, log);
    const device = await requestDevice({ adapter: 'swiftshader' });
    inNode = await trainExample({ device, example, outputDir: join(scratch, 'node') });
    device.destroy();
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
    await rm(scratch, { recursive: true });
  });

  it('trains, is interrupted, and goes on after a reload with the losses of Node', async () => {
    const first = await call('train', 'opfs:/runs/a', 40);
    expect(first.interruptedAt).toBe('opfs:/runs/a/checkpoint-40');
    expect(first.losses).toHaveLength(40);
    expect(await call('entriesOf', ['runs', 'a'])).toEqual(['checkpoint-40']);
    await page.reload();
    inTab = await call('resume', 'opfs:/runs/a');
    expect(inTab.losses).toHaveLength(58);
    expect(inTab.losses.slice(0, 40)).toEqual(first.losses);
    for (const [step, loss] of inTab.losses.entries()) {
      expect(Math.abs(loss - inNode.losses[step]!), `step ${step + 1}`).toBeLessThan(1e-3);
    }
    expect(inTab.accuracies).toEqual(inNode.accuracies);
    expect(inTab.losses.at(-1)).toBeLessThan(inTab.losses[0]! / 4);
  });

  it('gives its model as a zip, and as a copy, and both are what the log says', async () => {
    const files = unzipSync(Buffer.from(await call('zip', 'opfs:/runs/a'), 'base64'));
    const names = Object.keys(files).sort();
    expect(names).toContain('model.safetensors');
    expect(names.filter((name) => name.includes('/'))).toEqual([]);
    expect(await call('copyOut', 'opfs:/runs/a')).toEqual(
      [...names, 'checkpoint-40', 'checkpoint-58'].sort(),
    );
    const folder = join(scratch, 'tab');
    await mkdir(folder);
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
    const device = await requestDevice({ adapter: 'swiftshader' });
    const [tab, node] = await Promise.all(
      [folder, join(scratch, 'node')].map((path) =>
        AutoModelForSequenceClassification.fromPretrained(path, { device }),
      ),
    );
    const others = node!.stateDict();
    for (const [name, tensor] of tab!.stateDict()) {
      const [a, b] = await Promise.all([tensor.float32Data(), others.get(name)!.float32Data()]);
      const far = a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at]!)), 0);
      expect(far, name).toBeLessThan(1e-3);
    }
    device.destroy();
  });

  it('asks for nothing that is not there but what it cannot know', () => {
    const missing = site.requests.filter((request) => request.endsWith(' 404'));
    expect(new Set(missing)).toEqual(
      new Set(
        ['tokenizer.json', 'special_tokens_map.json', 'added_tokens.json'].map(
          (name) => `HEAD /examples/sentiment/model/${name} 404`,
        ),
      ),
    );
    expect(log.filter((line) => !line.includes('404'))).toEqual([]);
  });
});
