/** A GPU that runs out of memory in a training: what the error says, and what is left. */
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { GpuOutOfMemoryError } from '../../src/errors.ts';
import { LoraConfig } from '../../src/models/peft/config.ts';
import { getPeftModel } from '../../src/models/peft/peft-model.ts';
import { type Device, requestDevice } from '../../src/tensor/device.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { losses, tinyTrainer, useFolders } from '../support/trainer.ts';

const folder = useFolders();

/** Has the driver refuse the next buffer, as it does when memory is used up: by an event, and an invalid buffer. */
function exhaust({ gpu }: Device): void {
  const { device } = gpu;
  const make = device.createBuffer.bind(device);
  Object.defineProperty(device, 'createBuffer', {
    configurable: true,
    value: (descriptor: GPUBufferDescriptor) => {
      device.dispatchEvent(
        Object.assign(new Event('uncapturederror'), {
          error: new GPUOutOfMemoryError('Failed to allocate memory'),
        }),
      );
      return make(descriptor);
    },
  });
}

it.each([false, true])(
  'names the step and what helps, and keeps the checkpoint (adapter %s)',
  async (lora) => {
    const args: Partial<TrainingArguments> = { saveStrategy: 'steps', saveSteps: 3, loggingSteps: 1 };
    const trainer = async (device: Device, outputDir: string, onSave?: () => void) => {
      const made = await tinyTrainer(device, outputDir, {
        args,
        ...(onSave && { callbacks: [{ onSave }] }),
      });
      device.manualSeed(11);
      if (lora) getPeftModel(made.model as never, new LoraConfig({ taskType: 'SEQ_CLS' }));
      return made;
    };
    const device = await requestDevice();
    const output = folder();
    const failing = await trainer(device, output, () => {
      // Else no step makes a buffer.
      device.trim();
      exhaust(device);
    });
    const error = await failing.train().catch((caught: unknown) => caught);
    device.destroy();
    expect(error).toBeInstanceOf(GpuOutOfMemoryError);
    const { message } = error as Error;
    expect(message).toMatch(
      /^the GPU is out of memory: Failed to allocate memory: step 4, of 8 texts of up to 14 tokens, does not fit/,
    );
    expect(message).toContain(`the checkpoint '${output}/checkpoint-3' stays`);
    expect(message).toContain('set gradientCheckpointing: the same numbers, less memory');
    expect(message).toContain(
      'set perDeviceTrainBatchSize 4 and gradientAccumulationSteps 2: the same steps',
    );
    expect(message.includes('train an adapter (LoRA)')).toBe(!lora);
    expect(message.includes('set baseDtype float16')).toBe(lora && device.gpu.float16);

    // As a training that nothing broke, down to the bits.
    const other = await requestDevice();
    const resumed = await trainer(other, output);
    await resumed.train({ resumeFromCheckpoint: `${output}/checkpoint-3` });
    const whole = await trainer(other, folder());
    await whole.train();
    expect(losses(resumed)).toEqual(losses(whole));
    expect(existsSync(`${output}/checkpoint-10`)).toBe(true);
    other.destroy();
  },
);
