/** A GPU that runs out of memory in the midst of a training. */
import { describe, expect, it } from 'vitest';
import { openSite, startTraining, untilFinished, untilStep } from '../../../tools/web/site.ts';
import type { Suite } from './suite.ts';

/**
 * Begins the worker's script: counts the bytes of buffers; one that exceeds `budget` asks for more than the
 * driver gives to any, and fails as WebGPU does.
 */
const scarce = `{
  globalThis.budget = Infinity;
  globalThis.taken = 0;
  const [make, drop] = [GPUDevice.prototype.createBuffer, GPUBuffer.prototype.destroy];
  GPUDevice.prototype.createBuffer = function (wanted) {
    taken += wanted.size;
    return make.call(this, taken > budget ? { ...wanted, size: this.limits.maxBufferSize } : wanted);
  };
  GPUBuffer.prototype.destroy = function () { taken -= this.size; drop.call(this); };
}`;

export function memoryWays(suite: () => Suite): void {
  describe('a GPU with too little memory', () => {
    it('ends a training, which goes on from its checkpoint in half batches', async () => {
      const { browser, site } = suite();
      const { page } = await openSite(browser, site);
      await page.route('**/assets/main-*.js', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: `${scarce}\n${await response.text()}` });
      });
      await page.reload();
      await startTraining(page, 1);
      // The checkpoint of step 10 is whole by then.
      await untilStep(page, 12);
      await page.workers()[0]!.evaluate('budget = taken');
      const alert = page.getByRole('alert');
      await alert.waitFor();
      expect((await alert.allInnerTexts()).join(' ').replaceAll(/\s+/g, ' ')).toMatch(
        /The GPU has too little memory for this training.*VK_ERROR_OUT_OF_DEVICE_MEMORY Halve the batch size/,
      );
      await page
        .getByText(/The checkpoint of step \d+ is kept/)
        .first()
        .waitFor();
      // Which training fits is not the question: another program gave its memory back.
      await page.workers()[0]!.evaluate('budget = Infinity');
      await page.getByRole('button', { name: 'Resume in half batches' }).click();
      await page
        .getByText(/the same texts/)
        .first()
        .waitFor();
      await untilFinished(page);
      expect(await page.locator('[data-stat=step]').textContent()).toBe('29 / 29');
      await page.context().close();
    });
  });
}
