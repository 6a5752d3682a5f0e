/** Tells the parts of the page that wait for the worker how far it is with its kernels. */
import type { OnCompile } from '../contract.ts';

const listeners = new Set<OnCompile>();

export const noteCompiling: OnCompile = (progress) => {
  for (const listener of listeners) listener(progress);
};

/** Has `hint` say that kernels are compiled, in place of its own words, until `work` is done. */
export async function showCompiling<T>(hint: HTMLElement, work: Promise<T>): Promise<T> {
  const own = hint.textContent ?? '';
  const listener: OnCompile = ({ compiled, total }) => {
    hint.textContent = compiled < total ? `Compiling kernels: ${compiled} of ${total}` : own;
  };
  listeners.add(listener);
  try {
    return await work;
  } finally {
    listeners.delete(listener);
  }
}
