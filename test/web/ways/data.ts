/** Data as files of each format, and files that are something else. */
import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { csv, fileOf, patience, rows, takeData, takeRows, troubleIn } from './suite.ts';

const fixture = (name: string) => readFile(new URL(`../../reference/fixtures/data/${name}`, import.meta.url));

const pairs = rows.slice(0, 6).map(([text, label]) => [text, 'oslo and paris', label] as const);

export function dataWays(get: () => { page: Page }): void {
  describe('data as files', () => {
    let page: Page;
    beforeAll(() => {
      ({ page } = get());
    });

    const card = async (): Promise<string> =>
      (await page.getByRole('region', { name: 'Data' }).locator('.card-status').allInnerTexts())
        .join(' ')
        .replaceAll(/\s+/g, ' ');

    it('are read in each format, and their classes counted', async () => {
      const jsonLines = rows.map(([sentence, label]) => JSON.stringify({ sentence, label })).join('\n');
      const values = rows.map(([text], at) => `${text}\t${at / 4}`).join('\n');
      const files: [file: ReturnType<typeof fileOf>, words: RegExp][] = [
        [fileOf('rows.jsonl', jsonLines), /12 rows · learns one class for each text bad 6 good 6/],
        [
          fileOf('pairs.csv', csv('sentence1,sentence2,label', pairs)),
          /6 rows .* each pair of texts bad 3 good 3/,
        ],
        [fileOf('values.tsv', `text\tscore\n${values}\n`), /12 rows · learns a value for each text/],
        [
          fileOf('classes.parquet', await fixture('classes-snappy.parquet')),
          /12 rows .*negative 6 positive 6/,
        ],
        [
          fileOf('rows.csv', csv('text,label', rows)),
          /12 rows · learns one class for each text bad 6 good 6/,
        ],
      ];
      for (const [file, words] of files) {
        await takeData(page, file);
        await expect.poll(card, { message: file.name, ...patience }).toMatch(words);
      }
    });

    it('are refused by what is wrong with them', async () => {
      const parquet = await fixture('classes-snappy.parquet');
      const files: [file: ReturnType<typeof fileOf>, words: RegExp][] = [
        [fileOf('empty.csv', ''), /empty\.csv: there are no rows/],
        [
          fileOf('photo.csv', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')),
          /photo\.csv: the file is a PNG image/,
        ],
        [fileOf('cut.parquet', parquet.subarray(0, parquet.length - 9)), /cut\.parquet/],
        [
          fileOf('numbers.csv', 'a,b\n1,2\n3,4\n'),
          /numbers\.csv: .*may be a header Write the names of the columns/,
        ],
        [fileOf('broken.jsonl', '{"text": "a", "label": 1}\n{"text"'), /broken\.jsonl.*2/],
      ];
      for (const [file, words] of files) {
        await takeData(page, file);
        await expect.poll(() => troubleIn(page, 'Data'), { message: file.name, ...patience }).toMatch(words);
        expect(await page.getByRole('button', { name: 'Train', exact: true }).isDisabled()).toBe(true);
      }
      await takeRows(page);
    });
  });
}
