/** Writes a training's log as TensorBoard reads it: events in TFRecord files. */
import { platform } from '#platform';
import { joined } from '../arrays.ts';
import type { CallbackContext, TrainerCallback } from './callbacks.ts';
import type { LogEntry } from './state.ts';

/** CRC-32C (Castagnoli), reflected. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The checksum as TFRecord has it, rotated and shifted. */
function masked(bytes: Uint8Array): Uint8Array {
  const crc = crc32c(bytes);
  return littleEndian(4, (view) => view.setUint32(0, ((crc >>> 15) | (crc << 17)) + 0xa282ead8, true));
}

function littleEndian(size: number, fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(size);
  fill(new DataView(bytes.buffer));
  return bytes;
}

/** @internal A record: its length and its data, each with a checksum. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const length = littleEndian(8, (view) => view.setBigUint64(0, BigInt(data.length), true));
  return joined(Uint8Array, [length, masked(length), data, masked(data)]);
}

// Protocol Buffers: a key is the field's number and the kind of its value.
const double = (field: number, value: number): Uint8Array[] => [
  Uint8Array.of((field << 3) | 1),
  littleEndian(8, (view) => view.setFloat64(0, value, true)),
];
const float = (field: number, value: number): Uint8Array[] => [
  Uint8Array.of((field << 3) | 5),
  littleEndian(4, (view) => view.setFloat32(0, value, true)),
];
const integer = (field: number, value: number): Uint8Array[] => [Uint8Array.of(field << 3), varint(value)];
const bytes = (field: number, parts: readonly Uint8Array[]): Uint8Array[] => {
  const data = joined(Uint8Array, parts);
  return [Uint8Array.of((field << 3) | 2), varint(data.length), data];
};
const text = (field: number, value: string): Uint8Array[] => bytes(field, [new TextEncoder().encode(value)]);

function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  return Uint8Array.from([...out, rest]);
}

/** transformers' tags: `eval/loss`, and `train/` before all that is no evaluation. */
function tagOf(name: string): string {
  const [, split, rest] = /^(eval|test)_(.*)$/.exec(name) ?? [];
  return split === undefined ? `train/${name}` : `${split}/${rest}`;
}

/** @internal An event with the numbers of a log entry. */
export function scalarEvent({ step, ...values }: LogEntry, wallTime: number): Uint8Array {
  const summary = Object.entries(values).flatMap(([name, value]) =>
    typeof value === 'number' ? bytes(1, [...text(1, tagOf(name)), ...float(2, value)]) : [],
  );
  const event = [...double(1, wallTime), ...integer(2, Number(step ?? 0)), ...bytes(5, summary)];
  return tfRecord(joined(Uint8Array, event));
}

const versionEvent = (wallTime: number): Uint8Array =>
  tfRecord(joined(Uint8Array, [...double(1, wallTime), ...text(3, 'brain.Event:2')]));

const now = (): number => Date.now() / 1000;

/**
 * Appends each log entry to an event file in `<outputDir>/runs/<time>/`, with transformers' tags. A training that
 * is resumed has a file of its own, which continues at the checkpoint's step.
 */
export class TensorBoardCallback implements TrainerCallback {
  private path: string | null = null;

  async onTrainBegin({ args }: CallbackContext): Promise<void> {
    const time = now();
    const name = new Date(time * 1000).toISOString().slice(0, 19).replaceAll(':', '-');
    const file = `events.out.tfevents.${Math.floor(time)}.dawngrad`;
    this.path = platform.joinPath(args.outputDir, 'runs', name, file);
    await platform.append(this.path, versionEvent(time));
  }

  async onLog(_: CallbackContext, entry: LogEntry): Promise<void> {
    if (this.path !== null) await platform.append(this.path, scalarEvent(entry, now()));
  }
}
