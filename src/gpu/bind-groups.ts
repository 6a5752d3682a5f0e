/** Caches bind groups by pipeline and buffer ranges, so that a repeated step creates none. */
import { cached } from '../cached.ts';
import type { Pipeline } from './pipelines.ts';
import type { Slot } from './recorder.ts';

interface Entry {
  readonly pipeline: Pipeline;
  readonly slots: readonly Slot[];
  readonly group: GPUBindGroup;
}

const MOST_KEPT = 16_384;

export class BindGroupCache {
  /** Keyed by a hash of pipeline and slots: every dispatch looks here, and string keys are slow to build. */
  private readonly byHash = new Map<number, Entry[]>();
  private size = 0;

  /** The cached group for these slots, if any. */
  find(pipeline: Pipeline, slots: readonly Slot[]): GPUBindGroup | undefined {
    const entries = this.byHash.get(hashOf(pipeline, slots));
    if (entries === undefined) return undefined;
    for (const entry of entries)
      if (entry.pipeline === pipeline && sameSlots(entry.slots, slots)) return entry.group;
    return undefined;
  }

  /** Caches a group. The slots must not change afterwards. */
  add(pipeline: Pipeline, slots: readonly Slot[], group: GPUBindGroup): void {
    if (this.size >= MOST_KEPT) this.clear();
    cached(this.byHash, hashOf(pipeline, slots), () => []).push({ pipeline, slots, group });
    this.size += 1;
  }

  clear(): void {
    this.byHash.clear();
    this.size = 0;
  }
}

/** The FNV prime. */
const MIX = 0x01000193;

function hashOf({ id }: Pipeline, slots: readonly Slot[]): number {
  let hash = id;
  for (const { buffer, offset = 0, size = 0 } of slots) {
    hash = Math.imul(hash ^ buffer.id, MIX);
    // Offset and size are mostly multiples of 256.
    hash = Math.imul(hash ^ (offset >>> 8) ^ size, MIX);
  }
  return hash;
}

function sameSlots(a: readonly Slot[], b: readonly Slot[]): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += 1) {
    const left = a[at]!;
    const right = b[at]!;
    if (left.buffer !== right.buffer || left.offset !== right.offset || left.size !== right.size)
      return false;
  }
  return true;
}
