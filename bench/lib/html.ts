/** Renders results as one self-contained HTML file: tables, and bars drawn as cell backgrounds. */
import { escapeHtml, htmlTable, type TableData } from './table.ts';

const style = `
:root { color-scheme: light dark; --plain: #4c78a8; --own: #f58518; --third: #54a24b; --line: #8884; --bad: #c44e52 }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
p { margin: .3rem 0; opacity: .85 } p.bad { color: var(--bad); opacity: 1 }
div.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: right; white-space: nowrap; padding: .15rem .6rem; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left; min-width: 18rem; white-space: normal; overflow-wrap: anywhere }
td.bar { width: 25%; min-width: 10rem; padding: .15rem 0 }
td.bar > div { display: flex; height: .9rem }
td.bar > div > div { min-width: 1px }
.plain { background: var(--plain) } .own { background: var(--own) } .third { background: var(--third) }
`;

/** A heading with its contents, rendered as Markdown or HTML. */
export interface Section {
  title: string;
  /** Lines of text before the tables; `bad` ones report failures. */
  notes?: readonly (string | { bad: string })[];
  tables: readonly { title?: string; data: TableData }[];
}

export const isEmpty = ({ notes = [], tables }: Section): boolean =>
  notes.length === 0 && tables.length === 0;

function htmlSection({ title, notes = [], tables }: Section): string {
  return [
    `<h2>${escapeHtml(title)}</h2>`,
    ...notes.map((note) =>
      typeof note === 'string' ? `<p>${escapeHtml(note)}</p>` : `<p class="bad">${escapeHtml(note.bad)}</p>`,
    ),
    ...tables.map(({ title: name, data }) =>
      name === undefined ? htmlTable(data) : `<h3>${escapeHtml(name)}</h3>${htmlTable(data)}`,
    ),
  ].join('\n');
}

export function htmlPage(title: string, lines: readonly string[], sections: readonly Section[]): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
<h1>${escapeHtml(title)}</h1>
${lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('\n')}
${sections
  .filter((section) => !isEmpty(section))
  .map(htmlSection)
  .join('\n')}
</html>
`;
}
