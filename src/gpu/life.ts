/** Tracks whether a device is alive. Once it is gone, operations and waits throw the error that ended it. */
import type { DeviceLostError } from '../errors.ts';

export class DeviceLife {
  private error: DeviceLostError | null = null;
  private readonly waiting = new Set<(error: DeviceLostError) => void>();

  /** The error that ended the device, or null while it is alive. */
  get end(): DeviceLostError | null {
    return this.error;
  }

  check(): void {
    if (this.error !== null) throw this.error;
  }

  /** Ends the device; only the first call counts. */
  finish(error: DeviceLostError): void {
    if (this.error !== null) return;
    this.error = error;
    for (const reject of this.waiting) reject(error);
    this.waiting.clear();
  }

  /** Settles as `work` does, but throws as soon as the device is gone: pending work may then never settle. */
  async wait<T>(work: Promise<T>): Promise<T> {
    this.check();
    let reject: (error: DeviceLostError) => void = () => {};
    const ended = new Promise<never>((_, no) => {
      reject = no;
    });
    this.waiting.add(reject);
    try {
      return await Promise.race([work, ended]);
    } finally {
      this.waiting.delete(reject);
    }
  }
}
