/** A model by its hub id, from a stand-in for the hub. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTraining, untilFinished, untilReady } from '../../../tools/web/site.ts';
import { type HubModel, type HubServer, startHub } from '../../support/hub-server.ts';
import { type Files, keptFiles, takeRows, tinyModel, troubleIn } from './suite.ts';

const sha = 'a'.repeat(40);
const CACHE = 'huggingface/hub';

/** Asked of a page with `openWithRows`; leaves a finished training. */
export function hubWays(opened: () => { page: Page; log: string[] }): void {
  describe('a model of the hub', () => {
    let files: Files;
    let hub: HubServer;
    let cut: HubModel;
    let page: Page;
    let log: string[];

    const ask = async (id: string): Promise<void> => {
      await page.getByLabel('Hugging Face model id').fill(id);
      await page.getByRole('button', { name: 'Get' }).click();
    };
    const openHub = async (): Promise<void> => {
      await page.getByRole('radio', { name: 'Hub id' }).check();
      await page.getByText('A private or gated model').click();
      await page.getByLabel('Address of the hub').fill(hub.url);
    };
    const requested = (): string[] => hub.requests.splice(0).map(({ method, path }) => `${method} ${path}`);

    beforeAll(async () => {
      files = await tinyModel();
      cut = { sha, files, cut: ['model.safetensors'] };
      const { 'model.safetensors': weights, ...rest } = files;
      hub = await startHub({
        'org/tiny': {
          sha,
          files: { ...files, 'README.md': new Uint8Array(9), 'pytorch_model.bin': weights! },
        },
        'org/gated': { sha, files, gatedBy: 'secret' },
        'org/cut': cut,
        'org/pickled': { sha, files: { ...rest, 'pytorch_model.bin': weights! } },
      });
      ({ page, log } = opened());
      await openHub();
    });
    afterAll(async () => {
      await hub?.close();
    });

    it('is downloaded with its progress, asking for nothing that is not there', async () => {
      await page.evaluate(`{
        const texts = (globalThis.told = new Set());
        const note = () => { for (const one of document.querySelectorAll('.card-status')) texts.add(one.textContent); };
        new MutationObserver(note).observe(document.body, { childList: true, subtree: true });
      }`);
      await ask('org/tiny');
      await untilReady(page);
      expect(await page.locator('.ready').first().textContent()).toMatch(
        /org\/tiny bert · 2 layers · width 12/,
      );
      expect(requested().sort()).toEqual([
        'GET /api/models/org/tiny/revision/main',
        ...Object.keys(files).map((name) => `GET /org/tiny/resolve/${sha}/${name}`),
      ]);
      const told = await page.evaluate(() => [...(globalThis as unknown as { told: Set<string> }).told]);
      expect(told).toContain('Downloading model.safetensors: 19.5 kB of 19.5 kB…');
      expect(await keptFiles(page, CACHE)).toEqual(
        [
          'models--org--tiny/refs/main',
          ...Object.keys(files).map((name) => `models--org--tiny/snapshots/${sha}/${name}`),
        ].sort(),
      );
    });

    it('has words for one that is not there, is gated, or has other weights', async () => {
      await ask('org/none');
      expect(await troubleIn(page, 'Model')).toMatch(
        /There is no such model.*no model 'org\/none', or it is private Check the name, or pass a token/,
      );
      expect(await page.getByRole('button', { name: 'Train', exact: true }).isDisabled()).toBe(true);
      await ask('no id at all');
      expect(await troubleIn(page, 'Model')).toContain('"no id at all" is no hub id');
      await ask('org/pickled');
      expect(await troubleIn(page, 'Model')).toContain("'org/pickled' has no safetensors weights on the hub");
      await ask('org/gated');
      expect(await troubleIn(page, 'Model')).toMatch(
        /The model is gated.*Ask for access at \S+\/org\/gated, and pass a token of your account/,
      );
      await page.getByLabel('Access token').fill('secret');
      await ask('org/gated');
      await untilReady(page);
      // The token is in no file that is kept.
      expect(hub.requests.at(-1)!.authorization).toBe('Bearer secret');
      await page.getByLabel('Access token').fill('');
    });

    it('goes on with a download that broke off', async () => {
      requested();
      await ask('org/cut');
      expect(await troubleIn(page, 'Model')).toMatch(/The download broke off.*model\.safetensors.*Try again/);
      expect(await keptFiles(page, `${CACHE}/models--org--cut`)).not.toContain(
        `snapshots/${sha}/model.safetensors`,
      );
      cut.cut = [];
      requested();
      await ask('org/cut');
      await untilReady(page);
      // The browser itself may ask for the rest of it first.
      expect(new Set(requested())).toEqual(
        new Set(['GET /api/models/org/cut/revision/main', `GET /org/cut/resolve/${sha}/model.safetensors`]),
      );
    });

    it('works without the network once it is kept, and says so of others', async () => {
      await page.context().setOffline(true);
      await ask('org/other');
      expect(await troubleIn(page, 'Model')).toMatch(/The hub cannot be reached.*Check the network/);
      await ask('org/tiny');
      await untilReady(page);
      await page.context().setOffline(false);
    });

    it('is learned from, and needs no download again', async () => {
      await page.reload();
      await untilReady(page);
      await takeRows(page);
      await openHub();
      log.length = 0;
      requested();
      await ask('org/tiny');
      await untilReady(page);
      expect(requested()).toEqual(['GET /api/models/org/tiny/revision/main']);
      await startTraining(page, 1);
      await untilFinished(page);
      expect(await page.locator('.results').textContent()).toContain('Fine-tuned from org/tiny');
      expect(log).toEqual([]);
    });
  });
}
