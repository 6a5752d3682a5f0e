/** The engine's host functions in Deno, which runs the same Node code; `npm:webgpu` gives Dawn. */
import type { Platform } from './contract.ts';
import { platform as node } from './node.ts';

export const platform: Platform = { ...node, name: 'deno' };
