/** docs/fidelity.md: rows, versions, drift, and what exceeds a limit. */
import { markdownTable } from '../../bench/lib/table.ts';
import type { ModelType } from '../../src/models/registry.ts';
import { limits } from '../../test/support/reference.ts';
import { type Drift, driftLimit } from './drift.ts';
import type { Row } from './measure.ts';
import type { Versions } from './python.ts';

export interface Report {
  rows: readonly Row[];
  drift: readonly Drift[];
  versions: Versions;
  /** Lines of requirements.txt, which the committed fixtures were made with. */
  pinned: readonly string[];
  /** The version of transformers for what version 5 lacks. */
  legacy: string;
  adapter: string;
  processor: string;
  /** ISO date. */
  date: string;
}

type Measure = 'outputs' | 'gradients' | 'weights' | 'into' | 'back';

const columns: readonly { measure: Measure; title: string; limit: number }[] = [
  { measure: 'outputs', title: 'logits', limit: limits.outputs },
  { measure: 'gradients', title: 'gradients', limit: limits.gradients },
  { measure: 'weights', title: 'weights after 20 steps', limit: limits.steps },
  { measure: 'into', title: 'saved here, loaded there', limit: limits.outputs },
  { measure: 'back', title: 'saved there, loaded here', limit: limits.outputs },
];

/** Fixtures that the scripts write only if they are given published vocabularies. */
const ofVocabularies = ['tokenizers/real-bert.json', 'tokenizers/real-roberta.json'];

const number = (value: number): string => (value === 0 ? '0' : value.toExponential(1));

/** NaN exceeds every limit. */
const exceeds = (value: number, limit: number): boolean => !(value < limit);

/** A line for each number of a row that is too large, and for each of its problems. */
export function failuresOf(row: Row): string[] {
  const label = `${row.className} (${row.family}), ${row.kind}`;
  const tooLarge = columns.flatMap(({ measure, title, limit }) => {
    const value = row[measure];
    if (value === undefined || !exceeds(value, limit)) return [];
    return [`${label}: ${title}: ${number(value)} exceeds ${limit}`];
  });
  return [...tooLarge, ...row.problems.map((problem) => `${label}: ${problem}`)];
}

/** A line for each fixture that the scripts do not make as it is. */
export function driftFailures(drift: readonly Drift[]): string[] {
  return drift.flatMap(({ changed, absent }) => [
    ...changed.map((file) => `fixtures/${file}: differs from what the scripts write now`),
    ...absent
      .filter((file) => !ofVocabularies.includes(file))
      .map((file) => `fixtures/${file}: no script writes it`),
  ]);
}

function cell(row: Row, measure: Measure, limit: number): string {
  const value = row[measure];
  if (value === undefined) return '–';
  return exceeds(value, limit) ? `${number(value)} EXCEEDS` : number(value);
}

export function rowTable(rows: readonly Row[]): string {
  return markdownTable({
    head: ['class', 'labels, flags', ...columns.map(({ title }) => title)],
    rows: rows.map((row) => [
      row.className,
      row.problems.length === 0 ? row.kind : `${row.kind} (PROBLEM)`,
      ...columns.map(({ measure, limit }) => cell(row, measure, limit)),
    ]),
  });
}

function largestTable(rows: readonly Row[], families: readonly ModelType[]): string {
  const largest = (of: readonly Row[], measure: Measure): string => {
    const values = of.flatMap((row) => row[measure] ?? []);
    return values.length === 0 ? '–' : number(Math.max(...values));
  };
  return markdownTable({
    head: ['family', 'rows', ...columns.map(({ title }) => title)],
    rows: [
      ...families.map((family) => {
        const own = rows.filter((row) => row.family === family);
        return [family, `${own.length}`, ...columns.map(({ measure }) => largest(own, measure))];
      }),
      ['limit', '', ...columns.map(({ limit }) => `${limit}`)],
    ],
  });
}

function driftTable(drift: readonly Drift[]): string {
  return markdownTable({
    head: ['fixtures', 'files', 'same bytes', 'largest difference of the rest', 'changed', 'not made anew'],
    rows: drift.map(({ group, files, same, largest, changed, absent }) => [
      group,
      `${files}`,
      `${same}`,
      files === same + changed.length + absent.length ? '–' : number(largest),
      `${changed.length}`,
      `${absent.length}`,
    ]),
  });
}

function versionLines({ python, packages }: Versions, pinned: readonly string[]): string {
  const wanted = new Map(pinned.map((line) => line.split('==') as [string, string | undefined]));
  const parts = Object.entries(packages).map(([name, version]) => {
    const pin = wanted.get(name);
    const same = pin === undefined || version?.split('+')[0] === pin;
    return `${name} ${version}${same ? '' : ` (the committed fixtures: ${pin})`}`;
  });
  return [`Python ${python}`, ...parts].join(', ');
}

/** Breaks text at spaces so that lines have at most 110 characters. */
function wrap(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1)!;
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length > 110) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join('\n');
}

export function markdown(report: Report): string {
  const { rows, drift, versions, pinned, legacy, adapter, processor, date } = report;
  const families = [...new Set(rows.map(({ family }) => family))];
  const failures = [...rows.flatMap(failuresOf), ...driftFailures(drift)];
  const paragraphs = [
    '# Fidelity',
    'Every class of every family beside transformers and PyTorch. `npm run fidelity` wrote this page and all of its numbers: it makes a Python environment, computes the fixtures of the tests anew in a scratch folder, and compares both ways.',
    `${date}, ${processor}, on ${adapter}. ${versionLines(versions, pinned)}. transformers ${legacy} for what version 5 does not have: \`relative_key\` and \`relative_key_query\`, and the script of SQuAD.`,
    failures.length === 0
      ? `No row exceeds a limit, and all ${2 * rows.length} loads of saved folders found every weight: none missing, none unexpected.`
      : 'The limits are exceeded, or something else is wrong:',
    ...(failures.length === 0
      ? []
      : [failures.map((line) => `- ${line.replace(/[<*_`|]/g, '\\$&')}`).join('\n')]),
    '| column | what |\n| --- | --- |\n' +
      [
        ['logits', 'the largest difference of a logit, or of a state of a base model'],
        ['gradients', "the largest relative error of a parameter's gradient: norm of the difference by norm"],
        [
          'weights after 20 steps',
          'the same of each weight after 20 steps of AdamW (rate 1e-3, 4 steps of warm-up, decay 0.1, clipping at norm 0.5) on the batch of the fixture',
        ],
        [
          'saved here, loaded there',
          'the largest difference of a logit once transformers loaded what `savePretrained` wrote after these steps, without a missing, unexpected or mismatched key',
        ],
        [
          'saved there, loaded here',
          'the same once this engine loaded what `save_pretrained` then wrote, without anything to report',
        ],
      ]
        .map((cells) => `| ${cells.join(' | ')} |`)
        .join('\n'),
    'Models are tiny, with awkward sizes, and their batches have padding, on the left too, and masks with holes ([test/reference/README.md](../test/reference/README.md)). A gradient that is zero in exact arithmetic (of a key’s bias, which softmax does not see) is rounding on both sides: it must be small here too, and what AdamW makes of it is left out.',
    '## Largest errors',
    largestTable(rows, families),
    ...families.flatMap((family) => [`## ${family}`, rowTable(rows.filter((row) => row.family === family))]),
    '## Fixtures made anew',
    `The fixtures that the tests read, beside what their scripts write with the versions above. Bytes differ between processors by rounding; above ${number(driftLimit)} (relative, or absolute for numbers below 1) a file counts as changed. Those that need published vocabularies are not made anew: ${ofVocabularies.map((file) => `\`${file}\``).join(', ')}.`,
    driftTable(drift),
  ];
  return `${paragraphs.map((text) => (/^[|#-]/.test(text) ? text : wrap(text))).join('\n\n')}\n`;
}
