/** Writes safetensors files front to back, each tensor fetched only when it is written. */
import { sizeOf } from '../../arrays.ts';
import { CheckpointError } from '../../errors.ts';
import type { FileSink } from '../../platform/contract.ts';
import { float32ToFloat16 } from '../../tensor/float16.ts';

export interface TensorToWrite {
  name: string;
  shape: readonly number[];
  dtype: 'F32' | 'F16';
  read(): Promise<Float32Array>;
}

/**
 * Throws `CheckpointError` if a name comes twice or `read` gives another number of elements than the shape
 * has.
 */
export async function writeSafetensors(
  sink: FileSink,
  tensors: readonly TensorToWrite[],
  metadata: Record<string, string> = { format: 'pt' },
): Promise<void> {
  const header: Record<string, unknown> = Object.assign(Object.create(null), { __metadata__: metadata });
  let end = 0;
  for (const { name, shape, dtype } of tensors) {
    if (name in header)
      throw new CheckpointError(`tensor '${name}' is there twice`, {
        remedy: 'give each tensor a name of its own',
      });
    const begin = end;
    end += sizeOf(shape) * (dtype === 'F32' ? 4 : 2);
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Spaces pad the header, so that the data begin on a multiple of eight bytes.
  const length = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8 + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(json, 8);
  await sink.write(head);
  for (const { name, shape, dtype, read } of tensors) {
    const values = await read();
    if (values.length !== sizeOf(shape)) {
      throw new CheckpointError(
        `tensor '${name}' has ${values.length} elements, its shape [${shape.join(',')}] takes ${sizeOf(shape)}`,
      );
    }
    const data = dtype === 'F32' ? values : float32ToFloat16(values);
    await sink.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
}
