/** `npm run fidelity`: what makes it fail, and that no class is left out. Needs no Python. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Family } from '../../src/models/common/family.ts';
import { families } from '../../src/models/registry.ts';
import { compareJson, type Drift, drift, driftLimit } from '../../tools/fidelity/drift.ts';
import type { Row } from '../../tools/fidelity/measure.ts';
import { driftFailures, failuresOf, markdown, rowTable } from '../../tools/fidelity/report.ts';
import { subjects } from '../../tools/fidelity/subjects.ts';
import { fixtures } from '../support/fixtures.ts';

const row = (more: Partial<Row> = {}): Row => ({
  family: 'bert',
  className: 'BertModel',
  kind: 'states',
  name: 'bert-base',
  outputs: 2e-6,
  gradients: 3e-6,
  weights: 4e-7,
  into: 1e-6,
  back: 0,
  problems: [],
  ...more,
});
const same: Drift = { group: 'half.json', files: 1, same: 1, largest: 0, changed: [], absent: [] };

const pageOf = (rows: Row[], found: Drift[]): string =>
  markdown({
    rows,
    drift: found,
    versions: { python: '3.11.7', packages: { torch: '2.13.0+cpu', transformers: '6.0.0' } },
    pinned: ['torch==2.13.0', 'transformers==5.24.0'],
    legacy: '4.57.3',
    adapter: 'an adapter',
    processor: 'a processor',
    date: '2026-01-02',
  });

describe('a row', () => {
  it.each([
    ['outputs', 'logits: 1.0e-4 exceeds 0.0001', 1e-4],
    ['gradients', 'gradients: 2.0e-3 exceeds 0.001', 2e-3],
    ['weights', 'weights after 20 steps: NaN exceeds 0.001', Number.NaN],
    ['into', 'saved here, loaded there: Infinity exceeds 0.0001', Number.POSITIVE_INFINITY],
    ['back', 'saved there, loaded here: 1.0e-3 exceeds 0.0001', 1e-3],
  ] as const)('fails by its %s', (measure, message, value) => {
    const bad = row({ [measure]: value });
    expect(failuresOf(bad)).toEqual([`BertModel (bert), states: ${message}`]);
    expect(rowTable([row(), bad]).match(/EXCEEDS/g)).toHaveLength(1);
    const page = pageOf([row(), bad], [same]);
    expect(page).toContain(`- BertModel (bert), states: ${message}`);
    expect(page).not.toContain('No row exceeds');
  });

  it('fails by what else is wrong', () => {
    const bad = row({ problems: ["missing_keys: ['pooler.dense.bias']"] });
    expect(failuresOf(bad)).toEqual(["BertModel (bert), states: missing_keys: ['pooler.dense.bias']"]);
    expect(rowTable([bad])).toContain('states (PROBLEM)');
  });

  it('passes within its limits, whatever is not measured', () => {
    const { outputs: _, gradients: __, weights: ___, ...folder } = row();
    expect([row(), folder].flatMap(failuresOf)).toEqual([]);
    const page = pageOf([row(), folder], [same]);
    expect(page).toContain('No row exceeds a limit');
    expect(page).toContain('| BertModel | states | – | – | – | 1.0e-6 | 0 |');
    expect(page.replaceAll('\n', ' ')).toContain(
      'torch 2.13.0+cpu, transformers 6.0.0 (the committed fixtures: 5.24.0)',
    );
  });
});

describe('fixtures made anew', () => {
  it('may differ by rounding', () => {
    expect(compareJson({ a: [1.5, 1e-8], transformers_version: '5' }, { a: [1.50003, 0] })).toEqual({
      largest: expect.closeTo(2e-5, 9),
    });
    expect(compareJson([3, 'x', null], [3, 'x', null])).toEqual({ largest: 0 });
  });

  it.each<[string, unknown, unknown, string]>([
    ['an integer', { ids: [3, 4] }, { ids: [3, 5] }, '.ids.1: 4 instead of 5'],
    ['a text', ['a'], ['b'], '.0: "a" instead of "b"'],
    ['a key that is gone', {}, { a: null }, '.a is gone'],
    ['a new key', { a: null }, {}, '.a is new'],
    ['a length', [1], [1, 2], '.1 is gone'],
  ])('differ by %s', (_, fresh, kept, reason) => {
    expect(compareJson(fresh, kept)).toEqual({ reason });
  });

  it('fail by what changed, and by what no script writes', () => {
    const found: Drift = {
      ...same,
      changed: ['half.json (by 2.0e-3)'],
      absent: ['old.json', 'tokenizers/real-bert.json'],
    };
    expect(driftFailures([same, found])).toEqual([
      'fixtures/half.json (by 2.0e-3): differs from what the scripts write now',
      'fixtures/old.json: no script writes it',
    ]);
  });

  it('are compared file by file, models by family', async () => {
    const found = await drift(fixtures, fixtures);
    expect(found.map(({ group }) => group)).toEqual(
      expect.arrayContaining(families.map(({ modelType }) => `models, ${modelType}`)),
    );
    for (const { files, same } of found) expect(same).toBe(files);
    expect(driftLimit).toBe(1e-4);
  });
});

describe('the page', () => {
  it.each(families.map((family) => [family.modelType, family] as const))(
    'has a row of every class of %s',
    async (modelType, { Model, tasks }) => {
      const own = subjects([modelType]);
      const classes = [Model, ...Object.values(tasks as Family['tasks'])].map(({ name }) => name);
      expect([...new Set(own.map(({ className }) => className))].sort()).toEqual(classes.sort());
      const text = await readFile(new URL('../../docs/fidelity.md', import.meta.url), 'utf8');
      const page = text.replace(/ +/g, ' ');
      for (const { className, kind } of own)
        expect(page, 'run: npm run fidelity').toContain(`| ${className} | ${kind.replaceAll('_', '\\_')} |`);
    },
  );
});
