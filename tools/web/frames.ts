/** How smoothly a page runs: the times between its frames. */
import type { Page } from 'playwright-core';

export interface Frames {
  count: number;
  longestMs: number;
  /** Share of frames that took less than 17 ms. */
  smooth: number;
}

interface Recorder {
  frameTimes?: number[];
}

/** Begins to note the times of frames. */
export function recordFrames(page: Page): Promise<void> {
  return page.evaluate(() => {
    const times: number[] = [];
    (globalThis as Recorder).frameTimes = times;
    const note = (time: number): void => {
      times.push(time);
      requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
  });
}

/** What was noted since `recordFrames`. */
export async function framesOf(page: Page): Promise<Frames> {
  const times = await page.evaluate(() => (globalThis as Recorder).frameTimes ?? []);
  const lengths = times.slice(1).map((time, at) => time - times[at]!);
  return {
    count: lengths.length,
    longestMs: Math.max(...lengths),
    // Times are rounded: a frame of 60 a second reads as 16.6 to 16.8.
    smooth: lengths.filter((length) => length < 17).length / lengths.length,
  };
}

export const shown = ({ count, longestMs, smooth }: Frames): string =>
  `${count} frames, the longest ${longestMs.toFixed(0)} ms, ${(100 * smooth).toFixed(1)} % under 17 ms`;
