/** Adapters and dry runs from the command line. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytes } from '../../src/cli/dry-run.ts';
import { loraOptions } from '../../src/cli/lora.ts';
import { dawngrad, root } from '../support/command.ts';
import { fixtures } from '../support/fixtures.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

const example = join(root, 'examples/sentiment');
const model = join(example, 'model');
const text = 'I loved every minute of it';
const finetune = (output: string, ...more: string[]) =>
  dawngrad([
    ...['finetune', '--model', model, '--train', join(example, 'train.tsv'), '--output', output],
    ...['--max-train-samples', '64', '--batch-size', '16', '--epochs', '1', '--lr', '1e-3', ...more],
  ]);

it('trains, resumes, evaluates, predicts, exports and merges an adapter', { timeout: 600_000 }, async () => {
  const output = join(scratch, 'adapter');
  const trained = await finetune(output, '--lora', 'r=4,alpha=8', '--save-steps', '2');
  expect(trained.stderr).toMatch(/LoRA of query, value: [\d,]+ of [\d,]+ weights learn/);
  expect(trained.code).toBe(0);
  const files = await readdir(output);
  expect(files).toContain('adapter_model.safetensors');
  expect(files).not.toContain('model.safetensors');
  const config = JSON.parse(await readFile(join(output, 'adapter_config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  expect(config).toMatchObject({
    peft_type: 'LORA',
    r: 4,
    lora_alpha: 8,
    task_type: 'SEQ_CLS',
    base_model_name_or_path: model,
  });
  const log = await readFile(join(output, 'loss_log.jsonl'), 'utf8');

  const again = join(scratch, 'again');
  await cp(output, again, { recursive: true });
  const resumed = await finetune(
    again,
    '--lora',
    'r=4,alpha=8',
    '--save-steps',
    '2',
    '--resume',
    join(again, 'checkpoint-2'),
  );
  expect(resumed.code).toBe(0);
  const other = await finetune(
    again,
    '--lora',
    'target=value+query,r=8',
    '--resume',
    join(again, 'checkpoint-2'),
  );
  expect(other.code).toBe(1);
  expect(other.stderr).toContain('--lora: r is 8, in the checkpoint it is 4');
  const losses = (lines: string) =>
    lines
      .split('\n')
      .filter((line) => /"loss"/.test(line))
      .at(-1);
  expect(losses(await readFile(join(again, 'loss_log.jsonl'), 'utf8'))).toBe(losses(log));
  expect(await readFile(join(again, 'adapter_model.safetensors'))).toEqual(
    await readFile(join(output, 'adapter_model.safetensors')),
  );

  const predicted = await dawngrad(['predict', '--model', output, '--json', text]);
  expect(predicted.code).toBe(0);
  const merged = join(scratch, 'merged');
  expect((await dawngrad(['merge', output, '--output', merged])).code).toBe(0);
  expect(await readdir(merged)).toContain('model.safetensors');
  expect(await readdir(merged)).not.toContain('adapter_config.json');
  const plain = await dawngrad(['predict', '--model', merged, '--json', text]);
  const of = (line: string) => JSON.parse(line) as { label: string; score: number };
  expect(of(plain.stdout).label).toBe(of(predicted.stdout).label);
  expect(of(plain.stdout).score).toBeCloseTo(of(predicted.stdout).score, 4);
  const exported = await dawngrad(['export', output, '--output', join(scratch, 'onnx'), '--dtype', 'fp32']);
  expect(exported.code).toBe(0);
  const evaluated = await dawngrad([
    'evaluate',
    '--model',
    output,
    '--data',
    join(example, 'test.tsv'),
    '--max-eval-samples',
    '8',
  ]);
  expect(evaluated.code).toBe(0);
});

it('trains over a base of float16, and says so if a resumed training does not', {
  timeout: 600_000,
}, async ({ skip }) => {
  const output = join(scratch, 'half');
  const half = ['--lora', '--base-dtype', 'float16', '--save-steps', '2'];
  const trained = await finetune(output, ...half);
  skip(/no float16/.test(trained.stderr), 'the adapter has no float16');
  expect(trained.code, trained.stderr).toBe(0);
  expect(await readdir(output)).toContain('adapter_model.safetensors');
  const resumed = await finetune(
    output,
    '--lora',
    '--save-steps',
    '2',
    '--resume',
    join(output, 'checkpoint-2'),
  );
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(resumed.stderr).toMatch(
    /note: --base-dtype is null, in '.*' it was 'float16': it holds from here on/,
  );
  const whole = await finetune(join(scratch, 'whole'), '--base-dtype', 'float16');
  expect(whole.code).toBe(1);
  expect(whole.stderr).toContain("--base-dtype is 'float16', but the whole model learns");
});

it('trains adapters of vectors and of few-shot classifiers, which predict and merge', {
  timeout: 600_000,
}, async () => {
  const [pairs, labelled] = [join(scratch, 'pairs.jsonl'), join(scratch, 'few.tsv')];
  const texts = [
    'a man is playing the guitar',
    'the dog runs in the park',
    'a woman is eating food',
    'a cat sleeps',
  ];
  await writeFile(
    pairs,
    texts.map((anchor) => JSON.stringify({ anchor, positive: `the ${anchor}` })).join('\n'),
  );
  await writeFile(
    labelled,
    `text\tlabel\n${texts.map((one, at) => `${one}\t${at % 2 ? 'b' : 'a'}`).join('\n')}\n`,
  );
  const model = join(fixtures, 'sentence/model');
  for (const [name, data, more] of [
    ['vectors', pairs, []],
    ['few', labelled, ['--few-shot']],
  ] as const) {
    const output = join(scratch, name);
    const given = ['finetune', '--model', model, '--train', data, '--output', output, '--epochs', '2'];
    const trained = await dawngrad([...given, '--lora', 'r=4', '--lr', '1e-2', ...more]);
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toMatch(/LoRA of query, value: 768 of [\d,]+ weights learn/);
    expect(await readdir(output)).not.toContain('model.safetensors');
    expect(await readdir(output)).not.toContain('config.json');
    const merged = `${output}-merged`;
    const merging = await dawngrad(['merge', output, '--output', merged]);
    expect(merging.code, merging.stderr).toBe(0);
    const [own, plain] = await Promise.all(
      [output, merged].map(async (folder) => {
        const { code, stdout, stderr } = await dawngrad(['predict', '--model', folder, '--json', texts[0]!]);
        expect(code, stderr).toBe(0);
        return JSON.parse(stdout) as { embedding?: number[]; label?: string };
      }),
    );
    expect(plain!.label).toBe(own!.label);
    expect(plain!.embedding?.length).toBe(own!.embedding?.length);
    for (const [at, value] of (own!.embedding ?? []).entries())
      expect(plain!.embedding![at]).toBeCloseTo(value, 4);
  }
});

it('says what a training would take, and what to change', { timeout: 300_000 }, async () => {
  const output = join(scratch, 'dry');
  const plenty = await finetune(output, '--dry-run');
  expect(plenty.code).toBe(0);
  expect(plenty.stdout).toMatch(
    /^4 steps; the largest has 16 texts of up to \d+ tokens\n\nmemory {2}\d+ MiB: weights/,
  );
  expect(plenty.stdout).toMatch(
    /\ntime {4}\d+ s without evaluations, on .*\ndisk {4}\d+ MiB: the model \d+ MiB, checkpoints 1 × \d+ MiB/,
  );
  const little = await finetune(output, '--dry-run', '--memory-limit', '8MiB');
  expect(little.code).toBe(1);
  expect(little.stdout).toMatch(/do not fit into 8 MiB:\n- set --gradient-checkpointing/);
  expect(little.stdout).toContain('--batch-size 8 and --gradient-accumulation 2');
  await expect(readdir(output)).rejects.toThrow();
});

it('ends a training that needs too much memory with what helps, and keeps the checkpoint', {
  timeout: 300_000,
}, async () => {
  const data = join(scratch, 'long.tsv');
  const rows = Array.from(
    { length: 48 },
    (_, at) => `${(at < 47 ? 'good ' : 'bad ').repeat(at < 47 ? 2 : 60)}\t${at % 2}`,
  );
  await writeFile(data, `text\tlabel\n${rows.join('\n')}\n`);
  const output = join(scratch, 'short');
  const args = [
    'finetune',
    '--model',
    model,
    '--train',
    data,
    '--output',
    output,
    '--batch-size',
    '4',
    '--epochs',
    '4',
  ];
  const failed = await dawngrad([...args, '--save-steps', '1', '--memory-limit', '9MiB', '--seed', '3']);
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(
    /error: \d+ bytes are in use, .*: step \d+, of 4 texts of up to \d+ tokens, does not fit/,
  );
  expect(failed.stderr).toContain('--gradient-checkpointing');
});

it('reads settings', () => {
  expect(loraOptions('r=2,alpha=4,target=query+value,rslora=true,save=pooler,dropout=0.1,bias=all')).toEqual({
    r: 2,
    loraAlpha: 4,
    targetModules: ['query', 'value'],
    useRslora: true,
    modulesToSave: ['pooler'],
    loraDropout: 0.1,
    bias: 'all',
  });
  expect(loraOptions(true)).toEqual({});
  expect(() => loraOptions('rank=3')).toThrow("--lora: there is no setting 'rank'");
  expect(() => loraOptions('r=x')).toThrow('--lora: r=x is no number');
  expect(bytes('1.5GiB')).toBe(1.5 * 2 ** 30);
  expect(() => bytes('8')).toThrow('as in 8GiB');
});
