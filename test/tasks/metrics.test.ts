/** Entities and answers, compared with seqeval and SQuAD's script (test/reference/task_metrics_fixtures.py). */
import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { entityMetrics, entityReport } from '../../src/tasks/entity-metrics.ts';
import { answerF1, normalizeAnswer, squadMetrics } from '../../src/tasks/squad-metrics.ts';
import { areTags, entitiesOf, type Scheme } from '../../src/tasks/tags.ts';
import { fixtures, readJson } from '../support/fixtures.ts';

interface Fixture {
  entities: {
    scheme: Scheme | null;
    actual: string[];
    predicted: string[];
    entities: [type: string, start: number, last: number][][];
    accuracy: number;
    report: Record<string, [number, number, number, number]>;
  }[];
  squad: {
    questions: { answers: string[]; prediction: string; noAnswer: number }[];
    metrics: Record<string, number>;
  }[];
  normal: [string, string][];
  f1: [string, string, number][];
}

const fixture = await readJson<Fixture>(`${fixtures}task-metrics.json`);
const split = (rows: string[]): string[][] => rows.map((row) => row.split(' '));

describe('entities, as seqeval', () => {
  for (const [number, one] of fixture.entities.entries()) {
    const scheme = one.scheme ?? undefined;
    it(`${one.scheme ?? 'no scheme'} (${number})`, () => {
      const [actual, predicted] = [split(one.actual), split(one.predicted)];
      const found = actual.map((tags) =>
        entitiesOf(tags, scheme).map(({ type, start, end }) => [type, start, end - 1]),
      );
      expect(found).toEqual(one.entities);
      const { overall, accuracy, types } = entityReport(actual, predicted, scheme);
      expect(accuracy).toBeCloseTo(one.accuracy, 12);
      const { 'micro avg': micro, ...rest } = one.report;
      const flat = [overall, ...Object.values(types)].flatMap(Object.values);
      const expected = [micro!, ...Object.values(rest)].flat();
      expect(Object.keys(types)).toEqual(Object.keys(rest));
      for (const [at, value] of expected.entries()) expect(flat[at]).toBeCloseTo(value, 12);
    });
  }

  it('names metrics by type', () => {
    const report = entityReport([['B-LOC', 'O']], [['B-LOC', 'B-PER']]);
    expect(entityMetrics(report)).toEqual({
      precision: 0.5,
      recall: 1,
      f1: 2 / 3,
      accuracy: 0.5,
      LOC_precision: 1,
      LOC_recall: 1,
      LOC_f1: 1,
      LOC_number: 1,
      PER_precision: 0,
      PER_recall: 0,
      PER_f1: 0,
      PER_number: 0,
    });
  });

  it('refuses sentences of other lengths, and tags of another scheme', () => {
    expect(() => entityReport([['O']], [['O', 'O']])).toThrow(DataError);
    expect(() => entityReport([['O']], [])).toThrow(DataError);
    expect(() => entitiesOf(['E-LOC'], 'IOB2')).toThrow(/'E-LOC' is not one of IOB2/);
  });

  it('knows tags of entities from other classes', () => {
    expect(areTags(['O', 'B-LOC', 'I-LOC'])).toBe(true);
    expect(areTags(['S-LOC'])).toBe(true);
    expect(areTags(['NOUN', 'VERB', 'O'])).toBe(false);
    expect(areTags(['O', 'I', 'B'])).toBe(false);
  });
});

describe('answers, as the script of SQuAD', () => {
  it('normalizes', () => {
    for (const [text, normal] of fixture.normal) expect(normalizeAnswer(text)).toBe(normal);
  });

  it('computes F1', () => {
    for (const [a, b, f1] of fixture.f1) expect(answerF1(a, b)).toBeCloseTo(f1, 12);
  });

  for (const [at, { questions, metrics }] of fixture.squad.entries())
    it(`version ${at + 1}`, () => {
      const ours = squadMetrics(questions);
      const { exact_match, ...others } = ours;
      for (const [name, value] of Object.entries({ exact: exact_match, ...others }))
        expect(value, name).toBeCloseTo(metrics[name]!, 10);
      const skipped = at === 0 ? /^(total|HasAns_|best_)/ : /^total$/;
      const expected = Object.keys(metrics).filter((name) => !skipped.test(name));
      expect(Object.keys({ exact: 0, ...others }).sort()).toEqual(expected.sort());
    });
});
