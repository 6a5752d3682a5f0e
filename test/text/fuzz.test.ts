/**
 * Damaged tokenizer files: 5,000 seeded mutations of values, keys and text give a tokenizer or a
 * `TokenizerError` that names the file; nothing hangs.
 */
import { describe, expect, it } from 'vitest';
import { TokenizerError } from '../../src/errors.ts';
import { PreTrainedTokenizer } from '../../src/text/tokenizer.ts';
import { loadTokenizer } from '../../src/text/tokenizer-json.ts';
import { fixtures, readJson } from '../support/fixtures.ts';
import { generator } from '../support/unicode-strings.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Files = Record<string, string>;

const CASES = 500;
const ODD: Json[] = [
  null,
  true,
  false,
  0,
  -1,
  0.5,
  1e308,
  2 ** 31,
  2 ** 32 + 5,
  3_000_000_000,
  Number.MAX_SAFE_INTEGER,
  '',
  'x',
  '[CLS]',
  '\ud800',
  '__proto__',
  'constructor',
  [],
  {},
  [[]],
  [1, 'a'],
  { type: 'Sequence' },
  { content: 5 },
  { type: 'ByteLevel' },
  'a'.repeat(10_000),
];

/** The location of every value: its container and key. */
function places(value: Json, out: [Json[] | { [key: string]: Json }, string][] = []): typeof out {
  if (typeof value !== 'object' || value === null) return out;
  for (const key of Object.keys(value)) {
    // Limits the list: the first entries of a vocabulary represent the rest.
    if (out.length > 4_000) break;
    out.push([value, key]);
    places((value as { [key: string]: Json })[key]!, out);
  }
  return out;
}

function mutate(text: string, draw: (below: number) => number): string {
  if (draw(4) === 0 || !text.startsWith('{')) return mutateText(text, draw);
  const root = JSON.parse(text) as { [key: string]: Json };
  for (let count = 1 + draw(3); count > 0; count -= 1) {
    const all = places(root);
    if (all.length === 0) break;
    // Half of the mutations are near the top, where the settings are.
    const [container, key] = all[draw(2) === 0 ? draw(all.length) : draw(Math.min(all.length, 60))]!;
    const object = container as { [key: string]: Json };
    const kind = draw(4);
    if (kind === 0) delete object[key];
    else if (kind === 1 && !Array.isArray(container)) object[`${key}x`] = object[key]!;
    else object[key] = structuredClone(ODD[draw(ODD.length)]!);
  }
  return JSON.stringify(root);
}

function mutateText(text: string, draw: (below: number) => number): string {
  const at = draw(text.length + 1);
  switch (draw(5)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + draw(20));
    case 2:
      return text.slice(0, at) + String.fromCharCode(draw(0x10000)) + text.slice(at);
    case 3:
      return text.replaceAll('\n', draw(2) === 0 ? '\r\n' : '');
    default:
      return (
        text.slice(0, at) +
        ['null', '[]', '9e999', '4294967296', '"', '{', '\n\n', ' '][draw(8)]! +
        text.slice(at)
      );
  }
}

const { folders, contents } = await readJson<{
  folders: { name: string; files: Record<string, number> }[];
  contents: unknown[];
}>(`${fixtures}tokenizers/folders.json`);
const filesOf = (name: string): Files => {
  const { files } = folders.find((folder) => folder.name.startsWith(name))!;
  return Object.fromEntries(
    Object.entries(files).map(([file, number]) => {
      const content = contents[number];
      return [file, typeof content === 'string' ? content : JSON.stringify(content)];
    }),
  );
};
const bert = { ...filesOf('BERT, special_tokens_map.json'), ...filesOf('BERT, added_tokens.json') };
const config = filesOf('BERT, {"added_tokens_decoder"')['tokenizer_config.json']!;
const json = filesOf('tokenizer.json, RoBERTa, as it is');
const TARGETS: [string, string, Files][] = [
  ['vocab.txt', 'vocab.txt', bert],
  ['added_tokens.json', 'added_tokens.json', bert],
  ['special_tokens_map.json', 'special_tokens_map.json', bert],
  ['tokenizer_config.json', 'tokenizer_config.json', { ...bert, 'tokenizer_config.json': config }],
  ['vocab.json', 'vocab.json', filesOf('RoBERTa, vocab.json')],
  ['merges.txt', 'merges.txt', filesOf('RoBERTa, vocab.json')],
  ['tokenizer.json of BERT', 'tokenizer.json', filesOf('tokenizer.json, BERT, types not wanted')],
  ['tokenizer.json of RoBERTa', 'tokenizer.json', json],
];

interface Counts {
  loaded: number;
  refused: number;
}

/** Loads and uses a damaged tokenizer; anything except a `TokenizerError` that names the location fails. */
function attempt(files: Files, damaged: string, counts: Counts): void {
  try {
    const tokenizer = new PreTrainedTokenizer(
      loadTokenizer(files, (name) => `folder/${name}`),
      {},
    );
    const { inputIds } = tokenizer.encode('The tea, <ent> été ab', 'newtok');
    tokenizer.decode(inputIds);
    expect(inputIds.every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 24)).toBe(true);
    counts.loaded += 1;
  } catch (error) {
    expect(error, `${String(error)} for ${damaged.slice(0, 300)}`).toBeInstanceOf(TokenizerError);
    expect((error as Error).message).toContain('folder/');
    counts.refused += 1;
  }
}

describe('damaged files', () => {
  it.each(TARGETS)('%s', (name, file, files) => {
    const draw = generator(2026);
    const counts = { loaded: 0, refused: 0 };
    for (let i = 0; i < CASES; i += 1) {
      const damaged = mutate(files[file]!, draw);
      attempt({ ...files, [file]: damaged }, damaged, counts);
    }
    console.log(`${name}: ${counts.loaded} damaged files loaded, ${counts.refused} refused`);
    expect(counts.refused).toBeGreaterThan(CASES / 10);
  });

  it('tokenizer.json of every kind of part', async () => {
    const { model, parts } = await readJson<{ model: Json; parts: { json: { [key: string]: Json } }[] }>(
      `${fixtures}tokenizers/parts.json`,
    );
    const draw = generator(7);
    const counts = { loaded: 0, refused: 0 };
    for (let i = 0; i < 2 * CASES; i += 1) {
      const damaged = mutate(JSON.stringify(parts[i % parts.length]!.json), draw);
      const whole = damaged.includes('"model"')
        ? damaged
        : damaged.replace('{', `{"model":${JSON.stringify(model)},`);
      attempt({ 'tokenizer.json': whole }, damaged, counts);
    }
    console.log(`parts: ${counts.loaded} damaged files loaded, ${counts.refused} refused`);
    expect(counts.refused).toBeGreaterThan(CASES / 10);
  });
});
