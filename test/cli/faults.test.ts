/** The command under real conditions: closed pipes, kills, volumes, full disks, and invalid settings. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random.ts';
import { canMount, mount, remount, unmountAll } from '../support/mount.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const example = join(root, 'examples/sentiment');
const scratch = mkdtempSync(join(tmpdir(), 'dawngrad-faults-'));
const data = join(scratch, 'small.tsv');
let outputs = 0;
const freshOutput = (): string => join(scratch, `out-${outputs++}`);

const counts: Record<string, number> = {};
const count = (what: string): void => {
  counts[what] = (counts[what] ?? 0) + 1;
};
beforeAll(() => {
  const rows = readFileSync(join(example, 'train.tsv'), 'utf8').split('\n').slice(0, 41);
  writeFileSync(data, `${rows.join('\n')}\n`);
});
afterEach(unmountAll);
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
  console.log(`faults of the command: ${JSON.stringify(counts)}`);
});

type Child = ChildProcessByStdio<null, Readable, Readable>;

interface Running {
  child: Child;
  /** All output so far. */
  said(): string;
  /** Waits for output that matches. */
  until(what: RegExp): Promise<void>;
  ended: Promise<number | null>;
}

/** Starts the command, by itself or as npx does: from a shell. */
function start(args: string[], byNpx = false): Running {
  const words = [process.execPath, '--import', 'tsx', 'src/cli/main.ts', ...args];
  // A shell that had one command would become it.
  const [program, ...rest] = byNpx ? ['sh', '-c', '"$0" "$@"; exit $?', ...words] : words;
  const child = spawn(program!, rest, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...(byNpx && { npm_command: 'exec' }) },
  });
  let text = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text += String(chunk);
      for (const listener of listeners) listener();
    });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const until = (what: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (what.test(text)) resolve();
      };
      listeners.add(look);
      void ended.then(() => reject(new Error(`it ended and said: ${text}`)));
      look();
    });
  return { child, said: () => text, until, ended };
}

/** Runs the command to its end. */
async function run(args: string[]): Promise<{ code: number | null; text: string }> {
  const running = start(args);
  const code = await running.ended;
  return { code, text: running.said() };
}

const train = (output: string, ...more: string[]): string[] => [
  ...['finetune', '--model', join(example, 'model'), '--train', data, '--output', output],
  ...['--batch-size', '8', '--logging-steps', '1', ...more],
];

const checkpoints = (output: string): string[] =>
  existsSync(output) ? readdirSync(output).filter((name) => name.startsWith('checkpoint-')) : [];
const losses = (output: string): unknown[] =>
  readFileSync(join(output, 'loss_log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { loss?: number; step: number })
    .filter(({ loss }) => loss !== undefined);
const weights = (output: string): Buffer => readFileSync(join(output, 'model.safetensors'));

/** Waits until a condition holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Closes both ends, as happens when `tee` or `head` exits. */
function close({ child }: Running): void {
  child.stdout.destroy();
  child.stderr.destroy();
}

describe('npx that is ended', () => {
  it('saves a checkpoint and leaves no training behind', async () => {
    const output = freshOutput();
    const running = start(train(output, '--epochs', '4000', '--save-steps', '20'), true);
    await until(() => checkpoints(output).length > 0);
    running.child.kill('SIGTERM');
    // Its pipes close when the training itself ends.
    await running.ended;
    expect(running.said()).toMatch(/^saved .*checkpoint-\d+$/m);
    count('npx and a signal');
  });
});

describe('a closed output', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('and then %s: a checkpoint is saved', async (signal) => {
    const output = freshOutput();
    const running = start(train(output, '--epochs', '4000', '--save-steps', '20'));
    await until(() => checkpoints(output).length > 0);
    close(running);
    // Lets some steps print while nobody reads.
    const seen = checkpoints(output);
    await until(() => checkpoints(output).some((name) => !seen.includes(name)));
    running.child.kill(signal);
    expect(await running.ended).toBe(130);
    for (const name of checkpoints(output))
      expect(readdirSync(join(output, name))).toContain('progress.json');
    expect(existsSync(join(output, 'model.safetensors'))).toBe(false);
    count('closed output and a signal');
  });

  it('after the first line: the training goes on to its end', async () => {
    const output = freshOutput();
    const running = start(train(output, '--epochs', '2'));
    await running.until(/./);
    close(running);
    expect(await running.ended).toBe(0);
    expect(existsSync(join(output, 'model.safetensors'))).toBe(true);
    count('closed output');
  });

  it('of predictions ends them', async () => {
    const output = freshOutput();
    expect((await run(train(output, '--max-steps', '1'))).code).toBe(0);
    const texts = Array.from({ length: 3000 }, (_, i) => `text ${i}`);
    const running = start(['predict', '--model', output, '--batch-size', '1', ...texts]);
    await running.until(/text 1\n/);
    close(running);
    const code = await running.ended;
    expect(code).toBe(0);
    count('closed output');
  });
});

it.skipIf(!existsSync('/dev/full'))('results that find no room are an error', async () => {
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', 'info', '--json'], {
    cwd: root,
    stdio: ['ignore', full, 'pipe'],
  });
  let text = '';
  child.stderr!.on('data', (chunk) => {
    text += String(chunk);
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  closeSync(full);
  expect([code, /^error: standard output cannot be written: .*ENOSPC/m.test(text)]).toEqual([1, true]);
  count('full disk');
});

describe('kills', () => {
  it('at any moment lose nothing, and the resumed run ends as the unbroken one', async () => {
    const args = (output: string): string[] => train(output, '--epochs', '6', '--save-steps', '4');
    const whole = freshOutput();
    expect((await run(args(whole))).code).toBe(0);
    const random = new Random(12);
    const output = freshOutput();
    let resume: string[] = [];
    for (let kill = 0; kill < 4; kill += 1) {
      const running = start([...args(output), ...resume]);
      const wanted = Array.from({ length: 30 }, (_, step) => step + 1).filter((step) => step >= 6 + kill * 6);
      await running.until(new RegExp(`(step (${wanted.join('|')})/30|nothing is left)`));
      await new Promise((resolve) => setTimeout(resolve, random.integer(60)));
      running.child.kill('SIGKILL');
      // A fast machine may already be done.
      if ((await running.ended) === 0) break;
      expect(existsSync(join(output, 'model.safetensors'))).toBe(false);
      // Everything that exists is complete; incomplete files stay hidden.
      for (const name of checkpoints(output))
        expect(readdirSync(join(output, name))).toContain('progress.json');
      expect(checkpoints(output).length).toBeGreaterThan(0);
      resume = ['--resume'];
      count('kill');
    }
    mkdirSync(join(output, '.checkpoint-8.tmp-999999999-0123abcd'));
    const { code, text } = await run([...args(output), '--resume']);
    expect(code, text).toBe(0);
    expect(losses(output)).toEqual(losses(whole));
    expect(weights(output).equals(weights(whole))).toBe(true);
    const left = [...readdirSync(output), ...readdirSync(scratch)].filter((name) => name.startsWith('.'));
    expect(left).toEqual([]);
  });
});

describe.skipIf(!canMount)('an output folder that is a volume', () => {
  it('is written, though it exists and the folder that it is in may not be written', async () => {
    const output = freshOutput();
    const volume = join(output, 'volume');
    mount(output, 'size=1m');
    mount(volume, 'size=64m');
    mkdirSync(join(volume, 'lost+found'));
    remount(output, 'ro');
    const { code, text } = await run(train(volume, '--epochs', '1', '--save-steps', '2'));
    expect(code, text).toBe(0);
    expect(readdirSync(volume)).toEqual(
      expect.arrayContaining(['checkpoint-5', 'config.json', 'model.safetensors', 'tokenizer.json']),
    );
    expect(readdirSync(volume).filter((name) => name.startsWith('.'))).toEqual([]);
    count('volume');
  });

  it('that may not be written is refused before anything is loaded', async () => {
    const output = freshOutput();
    mount(output, 'size=1m');
    remount(output, 'ro');
    const { code, text } = await run(train(output));
    expect(code).toBe(1);
    expect(text).toContain(`error: cannot write '${output}': the disk is read-only`);
    expect(text).not.toContain('adapter:');
    count('volume');
  });

  it('that is full keeps the old model, and the checkpoints, whole', async () => {
    const output = freshOutput();
    mount(output, 'size=14m');
    cpSync(join(example, 'model'), output, { recursive: true });
    const before = weights(output);
    // Two checkpoints of 8 MB do not fit.
    const { code, text } = await run(
      train(output, '--overwrite', '--epochs', '3', '--save-total-limit', '5'),
    );
    expect(code).toBe(1);
    expect(text).toContain('the disk is full');
    expect(weights(output).equals(before)).toBe(true);
    expect(checkpoints(output)).toEqual(['checkpoint-5']);
    expect(readdirSync(output).filter((name) => name.startsWith('.'))).toEqual([]);
    count('full disk');
  });
});

describe('settings that cannot be', () => {
  it.each([
    [['--lr', '-5'], '--lr is -5 · use a number of 0 or more'],
    [['--epochs', '-1'], '--epochs is -1 · use a number of 0 or more'],
    [['--batch-size', '0'], '--batch-size is 0 · use an integer of 1 or more'],
    [['--eval-batch-size', '0'], '--eval-batch-size is 0 · use an integer of 1 or more'],
    [['--gradient-accumulation', '0'], '--gradient-accumulation is 0 · use an integer of 1 or more'],
    [['--warmup-steps', '-1'], '--warmup-steps is -1 · use a number of 0 or more'],
    [['--early-stopping', '0'], '--early-stopping is 0 · use an integer of 1 or more'],
    [['--early-stopping', '1'], '--early-stopping needs evaluations · pass --eval or --train-split'],
    [['--metric', 'accuracy'], '--metric needs evaluations · pass --eval or --train-split'],
    [['--eval-steps', '5'], '--eval-steps needs evaluations · pass --eval or --train-split'],
    [['--seed', '4294967296'], '--seed is 4294967296 · use an integer from 0 to 4294967295'],
    [['--max-length', '0'], '--max-length is 0 · use an integer of 1 or more'],
  ])('%s are refused at once, in the name that was given', async (options, message) => {
    // Fails before reading anything, even a model that does not exist.
    const { code, text } = await run([
      'finetune',
      '--model',
      'no/such',
      '--train',
      'no.tsv',
      '--output',
      'x',
      ...options,
    ]);
    expect([code, text]).toEqual([1, `error: ${message}\n`]);
  });
});

describe('settings of pretrain that cannot be', () => {
  it.each([
    [['--mlm-probability', '2'], '--mlm-probability is 2 · use a number above 0, up to 1'],
    [['--eval-share', '1'], '--eval-share is 1 · use a number from 0, below 1'],
    [['--eval-share', '-0.5'], '--eval-share is -0.5 · use a number from 0, below 1'],
    [['--dropout', '5'], '--dropout is 5 · use a number from 0 to 1'],
    [['--max-length', '2'], '--max-length is 2 · use an integer of 3 or more: a text has two special tokens'],
    [['--layers', '0'], '--layers is 0 · use an integer of 1 or more'],
    [['--heads', '3'], '--hidden-size is 128 · use a multiple of --heads, which is 3'],
    [
      ['--model', 'm'],
      '--tokenizer is for a new model, and there is --model · leave --tokenizer out, or --model',
    ],
  ])('%s are refused at once', async (options, message) => {
    const base = ['pretrain', '--corpus', 'no.txt', '--tokenizer', 'no/such', '--output', 'x'];
    const { code, text } = await run([...base, ...options]);
    expect([code, text]).toEqual([1, `error: ${message}\n`]);
  });

  it('those of a new model are for a new model', async () => {
    const { text } = await run([
      'pretrain',
      '--corpus',
      'no',
      '--model',
      'm',
      '--output',
      'x',
      '--layers',
      '3',
    ]);
    expect(text).toContain('--layers is for a new model');
  });
});

describe('what predict is told of files, where there is none', () => {
  it.each([
    [['--text-column', '1', 'a text'], '--text-column'],
    [['--delimiter', 'tab'], '--delimiter'],
    [['--no-header', 'a text'], '--header and --no-header'],
    [['--encoding', 'latin1', 'a text'], '--encoding'],
  ])('%s is refused', async (options, name) => {
    const { code, text } = await run(['predict', '--model', 'no/such', ...options]);
    expect([code, text]).toEqual([1, `error: ${name}: there is no file · pass --data, or leave it out\n`]);
  });
});

describe('how a training ended', () => {
  it('early: it says so, what it went back to, and how long it took, and evaluates no more than it has to', async () => {
    const output = freshOutput();
    const args = train(output, '--eval', data, '--epochs', '6', '--lr', '0', '--early-stopping', '1');
    const { code, text } = await run(args);
    expect(code, text).toBe(0);
    expect(text).toMatch(/\nstopped early after step 10, in \d+:\d\d: loss did not improve any more\n/);
    expect(text).toContain('went back to the best weights, those of step 5');
    const [, shown] = /\n {2}loss +(0\.\d+)/.exec(text)!;
    const logged = readFileSync(join(output, 'loss_log.jsonl'), 'utf8').trim().split('\n');
    const evaluations = logged
      .map((line) => JSON.parse(line) as { eval_loss?: number })
      .filter(({ eval_loss }) => eval_loss !== undefined);
    expect(evaluations).toHaveLength(2);
    expect(shown).toBe(evaluations[0]!.eval_loss!.toFixed(4));
    const again = await run([...args, '--resume']);
    expect(again.code).toBe(0);
    expect(again.text).toContain('was stopped early, at step 10: nothing is left to train');
    expect(again.text).not.toContain('step 11');
    const other = await run([...args, '--resume', '--batch-size', '4']);
    expect(other.code).toBe(1);
    expect(other.text).toContain(`error: --batch-size is 4, in '${join(output, 'checkpoint-10')}' it was 8`);
  });
});
