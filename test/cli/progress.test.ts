/** What the bar shows while kernels are compiled: on a terminal only. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CallbackContext, StepReport } from '../../src/train/callbacks.ts';

const was = process.stderr.isTTY;
afterEach(() => {
  process.stderr.isTTY = was;
  vi.restoreAllMocks();
  vi.resetModules();
});

/** The module as a terminal, or a file, gets it; all that is written. */
async function shown(terminal: boolean) {
  process.stderr.isTTY = terminal;
  let text = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((part) => {
    text += String(part);
    return true;
  });
  const { ProgressCallback, showCompiling } = await import('../../src/cli/progress.ts');
  return { ProgressCallback, showCompiling, text: () => text };
}
const context = { state: { epoch: 0, globalStep: 0, maxSteps: 4 } } as unknown as CallbackContext;
const step: StepReport = { learningRate: 1e-3, tokens: 8, seconds: 1 } as StepReport;
const drawn = () => new Promise((resolve) => setTimeout(resolve, 450));

describe('compiling kernels', () => {
  it('has a bar of its own before the first prediction, which makes way', async () => {
    const { showCompiling, text } = await shown(true);
    showCompiling({ compiled: 0, total: 3 });
    expect(text()).toContain('compiling kernels 0/3');
    showCompiling({ compiled: 2, total: 3 });
    await drawn();
    expect(text()).toContain('compiling kernels 2/3');
    const before = text().length;
    showCompiling({ compiled: 3, total: 3 });
    await drawn();
    expect(text().slice(before)).not.toContain('2/3');
    // The next model begins anew.
    showCompiling({ compiled: 0, total: 7 });
    expect(text()).toContain('compiling kernels 0/7');
    showCompiling({ compiled: 7, total: 7 });
  });

  it('is shown in the bar of a training, until a step ends', async () => {
    const { ProgressCallback, showCompiling, text } = await shown(true);
    const progress = new ProgressCallback();
    progress.onTrainBegin(context);
    showCompiling({ compiled: 5, total: 9 });
    await drawn();
    expect(text()).toMatch(/0\/4 \| epoch 0\.00 \| compiling kernels 5\/9/);
    progress.onLog(context, { loss: 0.5 } as never);
    progress.onStepEnd({ state: { ...context.state, globalStep: 1 } } as CallbackContext, step);
    const before = text().length;
    await drawn();
    expect(text().slice(before)).toContain('1/4 | epoch 0.00 | loss 0.5000');
    progress.stop();
  });

  it('says nothing off a terminal', async () => {
    const { showCompiling, text } = await shown(false);
    showCompiling({ compiled: 0, total: 3 });
    showCompiling({ compiled: 3, total: 3 });
    expect(text()).toBe('');
  });
});
