/**
 * Measures the host's cost of a step, or of a text's inference, alone, on Dawn's null backend, which computes
 * nothing and so leaves all cores to the host.
 */
import { summarize } from '../src/gpu/measure.ts';
import { SentenceTransformer } from '../src/sentence/sentence-transformer.ts';
import { requestDevice } from '../src/tensor/device.ts';
import { type PredictOptions, predictBatches, type TrainableModel } from '../src/train/predict.ts';
import { type JobResult, type JobSize, jobSizes, makeModel, runJob } from './jobs.ts';

/** Has as many kernels as BERT-base, with weights narrow enough for the backend's memory. */
const size: JobSize = {
  family: 'bert',
  name: '12 layers of 128',
  layers: 12,
  hidden: 128,
  heads: 2,
  vocabulary: 30_522,
};

/** Steps until V8 has compiled the code that they run. */
const WARM_UP = 100;

const shape = { training: true, batch: 8, length: 16 };

/** The results that apply to a step that computes nothing. */
export type HostResult = Pick<
  JobResult,
  'job' | 'dispatches' | 'host' | 'buffersCreated' | 'bindGroupsCreated'
>;

/** Measures training steps in float32 and in mixed precision, and the inference of one text. */
export async function measureHost(steps: number): Promise<HostResult[]> {
  const results: HostResult[] = [];
  for (const fp16 of [false, true]) {
    const device = await requestDevice({ adapter: 'null' });
    if (!fp16 || device.gpu.float16)
      results.push(hostOf(await runJob(device, size, { ...shape, steps, warmUp: WARM_UP, fp16 })));
    device.destroy();
  }
  return [...results, ...(await measureText(steps))];
}

/** Tokens of the text. */
const LENGTH = 8;

/**
 * One text, from ids to logits or to a vector: computed as the first of its length is, and replayed as all others
 * are.
 */
async function measureText(steps: number): Promise<HostResult[]> {
  const device = await requestDevice({ adapter: 'null' });
  const mini = jobSizes.find(({ name }) => name === 'MiniLM')!;
  const classifier = await makeModel(device, mini);
  const results = [
    ...(await measureModel('one text', classifier as TrainableModel, steps)),
    ...(await measureModel('the vector of one text', new SentenceTransformer(classifier.base), steps)),
  ];
  device.destroy();
  return results;
}

async function measureModel(what: string, model: TrainableModel, steps: number): Promise<HostResult[]> {
  const { device } = model;
  model.eval();
  const ones = new Int32Array(LENGTH).fill(1);
  const batch = { inputIds: ones, attentionMask: ones, shape: [1, LENGTH] };
  // To choose what is read prevents replaying.
  const kinds: [string, PredictOptions][] = [
    ['computed', { reads: () => true }],
    ['replayed', {}],
  ];
  const measured = kinds.map(([name, options]) => ({ name, options, times: [] as number[] }));
  let before = device.statistics();
  // By turns, so that a busy machine slows both.
  for (let step = -WARM_UP; step < steps; step += 1) {
    if (step === 0) before = device.statistics();
    for (const { options, times } of measured) {
      const start = performance.now();
      for await (const _ of predictBatches(model, [batch], options));
      if (step >= 0) times.push((performance.now() - start) / 1000);
    }
  }
  const after = device.statistics();
  return measured.map(({ name, times }) => ({
    job: `MiniLM, ${what} of ${LENGTH} tokens, ${name}`,
    dispatches: (after.dispatches - before.dispatches) / steps / measured.length,
    host: summarize(times),
    buffersCreated: after.created - before.created,
    bindGroupsCreated: after.bindGroupMisses - before.bindGroupMisses,
  }));
}

function hostOf({ job, dispatches, host, buffersCreated, bindGroupsCreated }: JobResult): HostResult {
  return { job, dispatches, host, buffersCreated, bindGroupsCreated };
}
