/** The page's training of the embedded example, in Node. */
import { fileURLToPath } from 'node:url';
import type { Device } from '../../src/index.ts';
import type { LiveRun } from '../../web/src/contract.ts';
import { defaultSettings } from '../../web/src/setup/choices.ts';
import { runTraining, type TrainingPlan } from '../../web/src/worker/training.ts';

const example = fileURLToPath(new URL('../../examples/sentiment', import.meta.url));

/** What the page's defaults make of the example. */
export function examplePlan(outputDir: string, epochs: number): TrainingPlan {
  return {
    model: `${example}/model`,
    modelName: 'Embedded example',
    data: { train: `${example}/train.tsv`, evaluation: `${example}/dev.tsv` },
    settings: { ...defaultSettings({ hiddenSize: 128, maxLength: 64 }), epochs },
    outputDir,
  };
}

export async function trainInNode(device: Device, plan: TrainingPlan): Promise<LiveRun> {
  const ended = await runTraining(device, plan, { pause: false, stop: false }, () => {});
  if (ended.kind !== 'finished') throw new Error('the training was paused');
  return ended.live;
}
