/** Implements the platform in Deno, which runs the same Node code; `npm:webgpu` provides Dawn. */
import type { Platform } from './contract.ts';
import { platform as node } from './node.ts';

export const platform: Platform = { ...node, name: 'deno' };
