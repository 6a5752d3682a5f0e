/** Random settings, compared with AutoTokenizer (test/reference/tokenizer_random_fixtures.py). */
import { expect, it } from 'vitest';
import { TokenizerError } from '../../src/errors.ts';
import { PreTrainedTokenizer } from '../../src/text/tokenizer.ts';
import { loadTokenizer } from '../../src/text/tokenizer-json.ts';
import { fixtures, hashOf, readJson } from '../support/fixtures.ts';

interface Fixture {
  texts: string[];
  contents: (string | object)[];
  /** The index of each file's content; a hash for each text, and for a pair. */
  folders: [Record<string, number>, number[]][];
}

const { texts, contents, folders } = await readJson<Fixture>(
  process.env.DAWNGRAD_RANDOM_FOLDERS ?? `${fixtures}tokenizers/random.json`,
);
/** Accepted by Python but rejected here: another model's vocabulary. */
const REFUSED = /there is no token|gives '.*' the id/;

it(`${folders.length} folders`, () => {
  let refused = 0;
  for (const [files, hashes] of folders) {
    const read = Object.entries(files).map(([name, number]) => {
      const content = contents[number];
      return [name, typeof content === 'string' ? content : JSON.stringify(content)];
    });
    let tokenizer: PreTrainedTokenizer;
    try {
      tokenizer = new PreTrainedTokenizer(
        loadTokenizer(Object.fromEntries(read), (name) => name),
        {},
      );
    } catch (error) {
      expect(error).toBeInstanceOf(TokenizerError);
      expect((error as Error).message).toMatch(REFUSED);
      refused += 1;
      continue;
    }
    const label = JSON.stringify(read.filter(([name]) => !/^(vocab|merges)/.test(name!)));
    expect(outcome(tokenizer), label).toEqual(hashes);
  }
  expect(refused).toBeLessThan(folders.length / 5);
});

function outcome(tokenizer: PreTrainedTokenizer): number[] {
  const rows: unknown[] = texts.map((text) => {
    const { inputIds, offsets } = tokenizer.encode(text);
    return [
      inputIds,
      offsets.flat(),
      tokenizer.decode(inputIds),
      tokenizer.decode(inputIds, { skipSpecialTokens: true }),
    ];
  });
  const pair = tokenizer.encode(texts[0]!, texts[2]!, { truncation: true, maxLength: 10 });
  rows.push([pair.inputIds, pair.tokenTypeIds, tokenizer.vocabSize]);
  return rows.map(hashOf);
}
