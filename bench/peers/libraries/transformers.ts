/** transformers.js, which runs ONNX Runtime on the CPU in Node. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { AutoModelForSequenceClassification, env, Tensor } from '@huggingface/transformers';
import type { PeerJob } from '../job.ts';
import type { Library, Work } from '../library.ts';
import { onnxModel } from '../onnx.ts';
import { overBatches } from './onnx.ts';

const names = {
  type: 'int64',
  ids: 'input_ids',
  mask: 'attention_mask',
  types: 'token_type_ids',
} as const;

/** Loads the job's model from a folder as the library expects it. */
async function load(job: PeerJob) {
  const folder = mkdtempSync(join(tmpdir(), 'dawngrad-onnx-'));
  try {
    mkdirSync(join(folder, 'onnx'));
    writeFileSync(join(folder, 'onnx', 'model.onnx'), onnxModel(job, names));
    const config = { model_type: 'bert', architectures: ['BertForSequenceClassification'] };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    env.allowRemoteModels = false;
    env.localModelPath = dirname(folder);
    return await AutoModelForSequenceClassification.from_pretrained(basename(folder), { dtype: 'fp32' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function inference(job: PeerJob): Promise<Work> {
  const model = await load(job);
  return overBatches(
    job,
    async ({ size, length, ids, mask }) => {
      const tensor = (values: Int32Array) =>
        new Tensor('int64', BigInt64Array.from(values, BigInt), [size, length]);
      const { logits } = await model({
        input_ids: tensor(ids),
        attention_mask: tensor(mask),
        token_type_ids: tensor(new Int32Array(ids.length)),
      });
      return logits.data as Float32Array;
    },
    () => void model.dispose(),
  );
}

export async function open(): Promise<Library> {
  return { name: 'transformers.js, CPU', version: env.version, inference, texts: inference };
}
