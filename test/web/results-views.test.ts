/** The views of a finished training in a real browser: what they show, by keyboard too, and without faults. */
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../support/bundle.ts';
import { noChromium, openChromium } from '../support/chromium.ts';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const screens = [
  ['classes', 840, 'light'],
  ['classes', 360, 'dark'],
  ['pairs', 840, 'dark'],
  ['sets', 360, 'light'],
  ['values', 840, 'light'],
  ['many', 360, 'dark'],
] as const;

interface Fault {
  id: string;
  impact: string;
  nodes: { html: string; failureSummary: string }[];
}

describe.skipIf(noChromium !== null)(`views of a finished training (${noChromium ?? 'Chromium'})`, () => {
  let browser: Browser;
  let site: string;
  const log: string[] = [];

  beforeAll(async () => {
    const { code, style } = await bundle(`
      import './web/src/style.css';
      import { show } from './test/web/results-page.ts';
      Object.assign(globalThis, { show });
    `);
    const script = code.replaceAll('</script', '<\\/script');
    site = `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
      <title>results</title><style>${style}</style><header><h1>Page</h1><h2>Results</h2></header><main></main>
      <script type="module">${script}</script></html>`;
    browser = await openChromium();
  });
  afterAll(async () => {
    await browser?.close();
    expect(log).toEqual([]);
  });

  async function opened(kind: string, width = 840, colorScheme: 'light' | 'dark' = 'light'): Promise<Page> {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    page.on('pageerror', (error) => log.push(`${error.stack}`));
    page.on('console', (message) => log.push(message.text()));
    await page.setContent(site);
    await page.evaluate((name) => (globalThis as unknown as { show(name: string): void }).show(name), kind);
    return page;
  }

  async function predict(page: Page, text: string): Promise<void> {
    await page.getByLabel('Try a sentence').fill(text);
    const second = page.getByLabel('The second text');
    if (await second.isVisible()) await second.fill('And another, not good.');
    await page.getByRole('button', { name: 'Predict' }).click();
    await page.locator('.answer .token-text').waitFor();
  }

  const rowsOf = (page: Page, selector: string) =>
    page
      .locator(selector)
      .locator('tr')
      .allInnerTexts()
      .then((rows) => rows.map((row) => row.split(/\s*\t\s*/)));

  it('has no fault that axe-core finds, light and dark, wide and narrow', async () => {
    for (const [kind, width, scheme] of screens) {
      const page = await opened(kind, width, scheme);
      await predict(page, 'A lovely film, but not good.');
      for (const summary of await page.locator('summary').all()) await summary.click();
      await page.locator('.seen li').first().waitFor();
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(sideways, `${kind} ${width}`).toBeLessThanOrEqual(0);
      await page.addScriptTag({ path: AXE });
      const faults = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as {
          axe: { run(options: object): Promise<{ violations: Fault[] }> };
        };
        const { violations } = await axe.run({ resultTypes: ['violations'] });
        return violations.map(({ id, impact, nodes }) => [
          id,
          impact,
          nodes[0]!.html,
          nodes[0]!.failureSummary,
        ]);
      });
      expect(faults, `${kind} ${width} ${scheme}`).toEqual([]);
      await page.close();
    }
  });

  it('shows the confusion matrix as a table with headers', async () => {
    const page = await opened('classes');
    await page.locator('.confusion').waitFor();
    expect(await rowsOf(page, '.confusion')).toEqual([
      ['labeled ↓ predicted →', 'positive', 'negative'],
      ['positive', '2', '1'],
      ['negative', '6', '2'],
    ]);
    expect(await page.locator('.confusion th[scope=row]').count()).toBe(2);
    expect(await page.locator('.confusion th[scope=col]').count()).toBe(2);
    await page.close();
  });

  it('lists what is most confused in place of a matrix of very many classes', async () => {
    const page = await opened('many');
    const table = page.getByRole('table', { name: 'Most confused of 40 classes' });
    expect(await table.locator('tbody tr').count()).toBe(6);
    expect(await page.locator('.confusion').count()).toBe(0);
    await page.close();
  });

  it('leads from a mistake to its explanation, by keyboard alone', async () => {
    const page = await opened('classes');
    await page.locator('.mistakes').waitFor();
    expect(await page.locator('.mistakes li:visible').count()).toBe(5);
    await page.getByRole('button', { name: 'Show 2 more' }).focus();
    await page.keyboard.press('Enter');
    expect(await page.locator('.mistakes li:visible').count()).toBe(7);
    // The first that was hidden has the focus.
    expect(await page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toMatch(
      /^Explain: The film had four/,
    );
    await page.keyboard.press('Enter');
    await page.locator('.token-text').waitFor();
    expect(await page.getByLabel('Try a sentence').inputValue()).toMatch(/^The film had four/);
    expect(await page.getByRole('status').first().textContent()).toMatch(
      /^The model says (posi|nega)tive, at /,
    );
    await page.close();
  });

  it('says so if there is no mistake', async () => {
    const page = await opened('right');
    await page.getByText('All 2 held-out rows are right.').waitFor();
    await page.close();
  });

  it('explains another class, and keeps the focus', async () => {
    const page = await opened('classes');
    await predict(page, 'A lovely film, not good');
    const marks = () => page.locator('.piece.plus').allInnerTexts();
    const select = page.getByLabel('Explain the class');
    const before = await marks();
    const other = (await select.inputValue()) === '0' ? '1' : '0';
    await select.selectOption(other);
    await expect.poll(marks).not.toEqual(before);
    expect(await select.inputValue()).toBe(other);
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('SELECT');
    // Sign is more than a color.
    const border = (side: string) =>
      page
        .locator(`.token-text .${side}`)
        .first()
        .evaluate((one) => getComputedStyle(one).borderBottomStyle);
    expect([await border('plus'), await border('minus')]).toEqual(['solid', 'dashed']);
    await page.close();
  });

  it('sends by Enter, and begins a line with Shift', async () => {
    const page = await opened('values');
    await page.getByLabel('Try a sentence').focus();
    await page.keyboard.type('A good');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('one');
    await page.keyboard.press('Enter');
    await page.locator('.summary').waitFor();
    expect(await page.locator('.summary').textContent()).toMatch(/^The value is /);
    expect(await page.getByLabel('Try a sentence').inputValue()).toBe('A good\none');
    await page.close();
  });

  it('reads attention by layer, head and token', async () => {
    const page = await opened('pairs');
    await predict(page, 'A man sleeps.');
    await page.getByText('What the layers look at').click();
    const seen = page.locator('.seen');
    const first = await seen.textContent();
    await page.getByLabel('Head').selectOption('1');
    await expect.poll(() => seen.textContent()).not.toBe(first);
    const second = await seen.textContent();
    await page.getByLabel('Layer').selectOption('1');
    await expect.poll(() => seen.textContent()).not.toBe(second);
    await page.getByLabel('Token that looks', { exact: true }).selectOption('2');
    expect(await page.locator('.looking [role=status]').textContent()).toBe('man looks most at:');
    // A click on the map picks the row, too.
    const { width } = (await page.locator('canvas').boundingBox())!;
    await page.locator('canvas').click({ position: { x: width / 2, y: width - 3 } });
    expect(await page.locator('.looking [role=status]').textContent()).toBe('[SEP] looks most at:');
    await page.close();
  });

  it('shows an error of the worker with what to do', async () => {
    const page = await opened('classes');
    await page.getByLabel('Try a sentence').fill('break');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.getByRole('alert').textContent()).toContain('the worker broke');
    expect(await page.getByRole('alert').textContent()).toContain('Mend it.');
    await page.close();
  });
});
