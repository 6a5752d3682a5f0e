/** The command in two processes: a training that is interrupted, resumed by one, or loses a process. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { dawngrad } from '../support/command.ts';
import { hasMpi, type Job, mpirun, processOf } from '../support/mpirun.ts';

const scratch = mkdtempSync(join(tmpdir(), 'dawngrad-mpi-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const data = join(scratch, 'small.tsv');
const main = 'src/cli/main.ts';
const finetune = (output: string, batch: number, ...more: string[]): string[] => [
  ...['finetune', '--model', 'examples/sentiment/model', '--train', data, '--output', output],
  ...[
    '--batch-size',
    String(batch),
    '--epochs',
    '1000',
    '--save-steps',
    '5',
    '--save-total-limit',
    '3',
    ...more,
  ],
];
const checkpoints = (output: string): number[] =>
  (existsSync(output) ? readdirSync(output) : [])
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);

async function firstCheckpoint(job: Job, output: string): Promise<void> {
  let isOver = false;
  void job.ended.then(() => {
    isOver = true;
  });
  while (!isOver && checkpoints(output).length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(isOver, job.said()).toBe(false);
}
const json = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;

describe.skipIf(!hasMpi)('two processes', () => {
  const rows = readFileSync('examples/sentiment/train.tsv', 'utf8').split('\n').slice(0, 41);
  writeFileSync(data, `${rows.join('\n')}\n`);
  const output = join(scratch, 'out');

  it('save once on Ctrl-C, and one process goes on', async () => {
    const job = mpirun(2, [main, ...finetune(output, 4)]);
    await firstCheckpoint(job, output);
    job.child.kill('SIGINT');
    await job.ended;
    expect(job.said()).toContain('2 processes: ');
    const saved = [...job.said().matchAll(/^saved .*checkpoint-(\d+)$/gm)].map(([, step]) => Number(step));
    expect(saved, job.said()).toHaveLength(1);
    const last = checkpoints(output).at(-1)!;
    expect(saved).toEqual([last]);
    const folder = join(output, `checkpoint-${last}`);
    expect(json(join(folder, 'progress.json')).processes).toBe(2);
    // 8 texts a step, as before.
    const more = ['--max-steps', String(last + 2), '--resume'];
    const resumed = await dawngrad(finetune(output, 8, ...more));
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stderr).toContain('processes is 1');
    expect(json(join(output, 'trainer_state.json')).global_step).toBe(last + 2);
    const refused = await dawngrad(finetune(output, 4, ...more, folder));
    expect(refused.stderr).toMatch(/error: processes is 1, .*--gradient-accumulation times processes at 8/);
  });

  it('predict and evaluate as one', async () => {
    const predict = (file: string): string[] => [
      'predict',
      '--model',
      output,
      '--data',
      data,
      '--output',
      file,
    ];
    const [many, single] = ['many.jsonl', 'single.jsonl'].map((name) => join(scratch, name));
    const job = mpirun(2, [main, ...predict(many!), '--batch-size', '16']);
    expect(await job.ended, job.said()).toBe(0);
    await dawngrad([...predict(single!), '--batch-size', '16']);
    expect(readFileSync(many!, 'utf8')).toBe(readFileSync(single!, 'utf8'));
    const evaluate = ['evaluate', '--model', output, '--data', data, '--batch-size', '16', '--json'];
    const metrics = (text: string) => {
      const line = text.split('\n').find((one) => one.startsWith('{'))!;
      const { eval_runtime: _, eval_samples_per_second: __, ...rest } = JSON.parse(line);
      return rest as unknown;
    };
    const evaluation = mpirun(2, [main, ...evaluate]);
    expect(await evaluation.ended, evaluation.said()).toBe(0);
    expect(metrics(evaluation.said())).toEqual(metrics((await dawngrad(evaluate)).stdout));
  });

  it('end when one is killed, and the last checkpoint is whole', async () => {
    const killed = join(scratch, 'killed');
    const job = mpirun(2, [main, ...finetune(killed, 4)]);
    await firstCheckpoint(job, killed);
    process.kill(processOf(1, killed), 'SIGKILL');
    expect(await job.ended).not.toBe(0);
    expect(job.said()).toMatch(/rank 1 \(process \d+\) has ended, so rank 0 ends too|signal 9|EXIT CODE: 9/);
    const last = checkpoints(killed).at(-1)!;
    const resumed = await dawngrad(finetune(killed, 8, '--max-steps', String(last + 1), '--resume'));
    expect(resumed.code, resumed.stderr).toBe(0);
  });
});
