/** Numbers for people. */

const plain = new Intl.NumberFormat('en-US');
const compact = new Intl.NumberFormat('en-US', {
  notation: 'compact',
  compactDisplay: 'long',
  maximumSignificantDigits: 3,
});
const short = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });

/** `4.39 million`. */
export const formatCompact = (value: number): string => compact.format(value);

export const formatCount = (value: number): string => plain.format(value);

/** `1 row`, `2 rows`. */
export const counted = (count: number, thing: string): string =>
  `${plain.format(count)} ${thing}${count === 1 ? '' : 's'}`;

/** `850 kB`, `1.2 GB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const at = Math.min(bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${short.format(bytes / 1000 ** at)} ${units[at]}`;
}

/** How far the download of a file is. */
export function downloadText({
  file,
  loadedBytes,
  totalBytes,
}: {
  file: string;
  loadedBytes: number;
  totalBytes: number;
}): string {
  const total = totalBytes > 0 ? ` of ${formatBytes(totalBytes)}` : '';
  return `Downloading ${file}: ${formatBytes(loadedBytes)}${total}`;
}

/** `8 s`, `1 min 20 s`, `2 h 5 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A loss or a rate: three digits that matter. */
export const formatNumber = (value: number): string => short.format(value);

/** Of a share: `93.8 %`. */
export const formatShare = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** The name of a metric in the log: `eval_f1_macro` is `f1 macro`. */
export const metricName = (key: string): string => key.replace(/^eval_/, '').replaceAll('_', ' ');
