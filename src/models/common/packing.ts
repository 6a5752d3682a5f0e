/**
 * A batch without its padding: the real tokens of all sequences, contiguous, so that only they are computed.
 */
import type { Device } from '../../tensor/device.ts';
import { takeRows } from '../../tensor/ops/rows.ts';
import { reshape } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Products take up to eight tokens at once: rows of zeros, a sequence of their own, fill up the rest. */
const TOKENS_MULTIPLE = 8;

export class Packing {
  /** int32 [sequences + 1]: the first token of each sequence, then the number of tokens. */
  readonly starts: Tensor;
  /** Tokens of the longest sequence. */
  readonly longest: number;
  private readonly shape: readonly [number, number];
  /** For each packed token its place in the padded batch; −1 for a row of zeros. */
  private readonly rows: Tensor;
  /** For each place in the padded batch its packed token; −1 for padding. */
  private readonly back: Tensor;

  private constructor(device: Device, mask: Int32Array, shape: readonly [number, number]) {
    const [batch, length] = shape;
    const starts = [0];
    const back = new Int32Array(mask.length).fill(-1);
    const rows: number[] = [];
    let longest = 0;
    for (let b = 0; b < batch; b += 1) {
      for (let at = b * length; at < (b + 1) * length; at += 1) {
        if (mask[at] === 0) continue;
        back[at] = rows.length;
        rows.push(at);
      }
      starts.push(rows.length);
      longest = Math.max(longest, rows.length - starts[b]!);
    }
    const left = -rows.length & (TOKENS_MULTIPLE - 1);
    if (left > 0) {
      for (let i = 0; i < left; i += 1) rows.push(-1);
      starts.push(rows.length);
      longest = Math.max(longest, left);
    }
    this.shape = shape;
    this.longest = longest;
    this.starts = device.tensor(Int32Array.from(starts));
    this.rows = device.tensor(Int32Array.from(rows));
    this.back = device.tensor(back);
  }

  /**
   * How to pack a batch with this attention mask, int32 [batch, length]. null if there is no padding, if a
   * text begins with padding (heads read first tokens), or if the mask was computed on the GPU; with
   * `gapless`, if there is padding between a text's tokens. The tensors belong to the open scope.
   */
  static of(mask: Tensor | undefined, gapless = false): Packing | null {
    const values = mask?.integers;
    if (mask === undefined || values === null || values === undefined) return null;
    const [batch, length] = mask.shape as [number, number];
    const begins = (b: number): boolean => values[b * length] !== 0;
    const texts = Array.from({ length: batch }, (_, b) => b);
    const gap = (at: number): boolean => at % length > 0 && values[at] !== 0 && values[at - 1] === 0;
    if (!values.includes(0) || !texts.every(begins)) return null;
    if (gapless && values.some((_, at) => gap(at))) return null;
    return new Packing(mask.device, values, [batch, length]);
  }

  /** [batch, length, width] → [tokens, width]. */
  pack(x: Tensor): Tensor {
    const [batch, length] = this.shape;
    return takeRows(reshape(x, [batch * length, -1]), this.rows, this.back);
  }

  /** int32 [tokens] of numbers of every place of the batch, or of one text; 0 for a row of zeros. */
  packIntegers(values: Int32Array): Tensor {
    const rows = this.rows.integers!;
    return this.rows.device.tensor(rows.map((at) => (at < 0 ? 0 : values[at % values.length]!)));
  }

  /** [tokens, width] → [batch, length, width], zero for padding. */
  unpack(x: Tensor): Tensor {
    return reshape(takeRows(x, this.back, this.rows), [...this.shape, -1]);
  }
}
