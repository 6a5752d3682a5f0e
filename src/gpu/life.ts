/** Whether a device is still there. Once it is gone, every operation and every wait throws what ended it. */
import type { DeviceLostError } from '../errors.ts';

export class DeviceLife {
  private error: DeviceLostError | null = null;
  private readonly waiting = new Set<(error: DeviceLostError) => void>();

  /** What ended it, or null while it lives. */
  get end(): DeviceLostError | null {
    return this.error;
  }

  /** Throws what ended the device. */
  check(): void {
    if (this.error !== null) throw this.error;
  }

  /** The first call counts. */
  finish(error: DeviceLostError): void {
    if (this.error !== null) return;
    this.error = error;
    for (const reject of this.waiting) reject(error);
    this.waiting.clear();
  }

  /**
   * Settles as `work` does, or throws as soon as the device is gone: work that it still owes may then never
   * end.
   */
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
