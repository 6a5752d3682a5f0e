/**
 * Takes the pictures of the page that the documentation shows, into docs/images: the page while it trains, in
 * dark on a phone, and with its results. Needs Chromium (test/support/chromium.ts).
 */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openChromium } from '../../test/support/chromium.ts';
import { buildSite, openSite, startTraining, untilFinished, untilStep } from './site.ts';

const folder = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const EPOCHS = 3;

await mkdir(folder, { recursive: true });
const [site, browser] = await Promise.all([buildSite(), openChromium()]);
const { page } = await openSite(browser, site, { viewport: { width: 1240, height: 900 } });
await startTraining(page, EPOCHS);
await untilStep(page, 62);
await page.screenshot({ path: `${folder}page.png` });
await untilFinished(page);
const results = page.locator('.results');
await results.screenshot({ path: `${folder}page-results.png` });
await page.setViewportSize({ width: 390, height: 844 });
await page.emulateMedia({ colorScheme: 'dark' });
await page.locator('.live').scrollIntoViewIfNeeded();
await page.screenshot({ path: `${folder}page-narrow.png` });
await browser.close();
await site.close();
