/** Embeddings from the command line: each kind of data, the loss, vectors as JSON and NumPy. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dawngrad } from '../support/command.ts';
import { fixtures } from '../support/fixtures.ts';

const model = join(fixtures, 'sentence/model');
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-vectors-'));
  for (const [name, { content }] of Object.entries(files)) await writeFile(join(scratch, name), content);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const files: Record<string, { content: string; loss: RegExp; metric: RegExp; more?: string[] }> = {
  'scored.tsv': {
    content: [
      'sentence1\tsentence2\tscore',
      'a man is playing\tthe man is playing the guitar\t4.8',
      'a dog runs\tthe cat sleeps\t0.5',
      'a woman is eating\tthe woman is eating food\t4.6',
      'the cat sleeps\ta man is playing\t0.2',
    ].join('\n'),
    loss: /by CoSENTLoss \(usual for pairs with scores\)/,
    metric: /pearson_cosine +-?[\d.]+\s+spearman_cosine/,
    more: ['--task', 'sentence-similarity'],
  },
  'triplets.jsonl': {
    content: [
      ['a man is playing', 'the man is playing the guitar', 'a cat sleeps'],
      ['a dog runs', 'the dog runs in the park', 'a woman is eating food'],
      ['the cat sleeps', 'a cat sleeps on the mat', 'a man is playing'],
    ]
      .map(([anchor, positive, negative]) => JSON.stringify({ anchor, positive, negative }))
      .join('\n'),
    loss: /by CachedMultipleNegativesRankingLoss \(as asked for\)/,
    metric: /cosine_recall@1 +[\d.]+.*cosine_ndcg@10 +[\d.]+\s+cosine_accuracy +[\d.]+/s,
    more: [
      '--loss',
      'CachedMultipleNegativesRankingLoss',
      '--mini-batch-size',
      '2',
      '--matryoshka-dims',
      '24,8',
    ],
  },
  'classes.tsv': {
    content: ['text\tlabel', 'a man\thuman', 'a woman\thuman', 'a dog\tanimal', 'the cat\tanimal'].join('\n'),
    loss: /by BatchAllTripletLoss \(usual for texts with classes\)/,
    metric: /neighbor_accuracy +[\d.]+/,
    more: ['--task', 'sentence-similarity'],
  },
};

describe('sentence-similarity', () => {
  it.each(Object.keys(files))('trains on %s, evaluates and predicts', async (name) => {
    const path = join(scratch, name);
    const out = join(scratch, `of-${name}`);
    const { loss, metric, more = [] } = files[name]!;
    const trained = await dawngrad([
      'finetune',
      ...['--model', model, '--train', path, '--eval', path, '--output', out],
      ...['--max-steps', '2', '--batch-size', '4', '--max-length', '9', ...more],
    ]);
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toMatch(loss);
    expect(trained.stdout).toMatch(metric);
    expect(trained.stdout).toContain(`predict --model ${out} "a text" "another text"`);
    const settings = JSON.parse(await readFile(join(out, 'sentence_bert_config.json'), 'utf8')) as unknown;
    expect(settings).toEqual({ max_seq_length: 9, do_lower_case: false });
    const evaluated = await dawngrad(['evaluate', '--model', out, '--data', path]);
    expect(evaluated.code, evaluated.stderr).toBe(0);
    expect(evaluated.stdout).toMatch(metric);
  });

  it('says on a resume that the loss is another', async () => {
    const [out, path] = [join(scratch, 'of-scored.tsv'), join(scratch, 'scored.tsv')];
    const resume = (...more: string[]) =>
      dawngrad([
        'finetune',
        ...['--model', model, '--train', path, '--eval', path, '--output', out, '--resume'],
        ...['--max-steps', '2', '--batch-size', '4', '--max-length', '9', '--task', 'sentence-similarity'],
        ...more,
      ]);
    const same = await resume('--loss', 'CoSENTLoss', '--mini-batch-size', '2');
    expect(same.code, same.stderr).toBe(0);
    expect(same.stderr).not.toMatch(/it was/);
    const other = await resume('--loss', 'CosineSimilarityLoss', '--matryoshka-dims', '24,8');
    expect(other.code, other.stderr).toBe(0);
    expect(other.stderr).toMatch(
      /note: --loss is 'CosineSimilarityLoss', in '.*' it was 'CoSENTLoss': it holds from here on/,
    );
    expect(other.stderr).toMatch(/note: --matryoshka-dims is \[24,8\], in '.*' it was null/);
  });

  it('predicts vectors, and how alike pairs are', async () => {
    const json = await dawngrad(['predict', '--model', model, '--json', 'a man', 'a dog runs']);
    expect(json.code, json.stderr).toBe(0);
    const rows = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { text: string; embedding: number[] });
    expect(rows.map(({ text }) => text)).toEqual(['a man', 'a dog runs']);
    const saved = join(scratch, 'vectors.npy');
    const numpy = await dawngrad(['predict', '--model', model, '--output', saved, 'a man', 'a dog runs']);
    expect(numpy.code, numpy.stderr).toBe(0);
    const bytes = await readFile(saved);
    expect(bytes.subarray(0, 8)).toEqual(Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]));
    const start = 10 + bytes.readUInt16LE(8);
    expect(start % 64).toBe(0);
    expect(bytes.toString('latin1', 10, start).trim()).toBe(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 24), }",
    );
    expect(bytes.length).toBe(start + 2 * 24 * 4);
    for (const [at, value] of rows.flatMap(({ embedding }) => embedding).entries())
      expect(bytes.readFloatLE(start + 4 * at)).toBeCloseTo(value, 6);
    const pair = await dawngrad(['predict', '--model', model, '--json', 'a man', '--pair', 'a man']);
    expect(JSON.parse(pair.stdout)).toEqual({ text: 'a man', pair: 'a man', similarity: 1 });
    const refused = await dawngrad(['predict', '--model', model, '--output', saved, 'a', '--pair', 'b']);
    expect(refused.stderr).toContain('.npy holds vectors, and these predictions are none');
  });

  it('refuses a loss that does not fit, and data that say nothing', async () => {
    const scored = join(scratch, 'scored.tsv');
    const options = ['--model', model, '--output', join(scratch, 'refused'), '--task', 'sentence-similarity'];
    const loss = await dawngrad(['finetune', ...options, '--train', scored, '--loss', 'TripletLoss']);
    expect(loss.stderr).toContain('use CoSENTLoss or CosineSimilarityLoss');
    const plain = join(scratch, 'plain.txt');
    await writeFile(plain, 'a text\nanother\n');
    const single = await dawngrad(['finetune', ...options, '--train', plain]);
    expect(single.stderr).toContain('single texts, which say nothing about each other');
  });
});
