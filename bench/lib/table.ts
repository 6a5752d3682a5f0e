/** A table rendered as text for a terminal, as Markdown, or as HTML with bars. */
import Table from 'cli-table3';

/** A bar in a cell: adjacent parts, as shares of the cell's width. Only HTML shows it. */
export interface Bar {
  parts: readonly { share: number; color: BarColor }[];
}

export type BarColor = 'plain' | 'own' | 'third';

export type Cell = string | Bar;

export interface TableData {
  head: readonly string[];
  rows: readonly (readonly Cell[])[];
}

export function bar(share: number, color: BarColor = 'plain'): Bar {
  return { parts: [{ share, color }] };
}

/** The table without its bar columns. */
function words({ head, rows }: TableData): { head: string[]; rows: string[][] } {
  const kept = head.map((_, i) => rows.every((row) => typeof row[i] === 'string'));
  const pick = (row: readonly Cell[]): string[] => row.filter((_, i) => kept[i]) as string[];
  return { head: pick(head), rows: rows.map(pick) };
}

const none = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
];
const inner = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];
const chars = { ...Object.fromEntries([...none, ...inner].map((name) => [name, ''])), middle: '  ' };

export function textTable(data: TableData): string {
  const { head, rows } = words(data);
  const made = new Table({
    chars,
    head,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
  });
  made.push(...rows);
  return made.toString();
}

/** A cell's text on one line, with Markdown's special characters escaped. */
function escapeMarkdown(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\\|<*_`]/g, '\\$&');
}

export function markdownTable(data: TableData): string {
  const { head, rows } = words(data);
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeMarkdown).join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => entities[sign]!);
}

function htmlCell(content: Cell): string {
  if (typeof content === 'string') return `<td>${escapeHtml(content)}</td>`;
  const parts = content.parts.map(({ share, color }) => {
    const width = (100 * Math.min(1, Math.max(0, share))).toFixed(1);
    return `<div class="${color}" style="width:${width}%"></div>`;
  });
  return `<td class="bar"><div>${parts.join('')}</div></td>`;
}

export function htmlTable({ head, rows }: TableData): string {
  const top = head.map((name) => `<th>${escapeHtml(name)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map(htmlCell).join('')}</tr>`).join('\n');
  return `<div class="wide"><table><thead><tr>${top}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
}
