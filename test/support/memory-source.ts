/** A file in memory that records how it was read. */
import type { FileSource } from '../../src/platform/contract.ts';

export interface MemorySource extends FileSource {
  /** Bytes of each read. */
  reads: number[];
  closed: boolean;
}

export function memorySource(path: string, bytes: Uint8Array): MemorySource {
  const source: MemorySource = {
    path,
    size: bytes.length,
    reads: [],
    closed: false,
    read: async (offset, length) => {
      if (offset + length > bytes.length)
        throw new Error(`read past the end: ${offset} + ${length} of ${bytes.length}`);
      source.reads.push(length);
      // A view with an arbitrary byte offset, as a host may return.
      return bytes.subarray(offset, offset + length);
    },
    close: async () => {
      source.closed = true;
    },
  };
  return source;
}
