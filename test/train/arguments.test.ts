/** The tables in docs/training.md match the table of arguments. */
import { readFileSync } from 'node:fs';
import { Option } from 'commander';
import { expect, it } from 'vitest';
import { argumentNames, argumentTable, type ResumeEffect } from '../../src/train/arguments.ts';

const page = readFileSync(new URL('../../docs/training.md', import.meta.url), 'utf8');

/** A Markdown table whose columns are as wide as their widest cell. */
function markdown(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = line(widths.map((width) => '-'.repeat(width)));
  const [head, ...body] = rows.map(line);
  return [head, rule, ...body].join('\n');
}

const show = (value: unknown): string => (typeof value === 'string' ? `\`${value}\`` : String(value));

function defaults(name: (typeof argumentNames)[number]): string {
  const { default: usual, finetune, otherwise } = argumentTable[name];
  const command = otherwise ?? (finetune === undefined || finetune === null ? undefined : show(finetune));
  return command === undefined ? show(usual) : `${show(usual)} (the command: ${command})`;
}

const options = () =>
  markdown([
    ['command', 'argument', 'default', 'what it is'],
    ...argumentNames.map((name) => {
      const { option, help, note } = argumentTable[name];
      const flag = option === undefined ? '–' : `\`${new Option(option).long}\``;
      const plain = help.replace(/ \(default: \w+\)/, '').replace(/--[\w-]+/g, '`$&`');
      return [flag, `\`${name}\``, defaults(name), note === undefined ? plain : `${plain}; ${note}`];
    }),
  ]);

const meanings: Record<ResumeEffect, string> = {
  place: 'refused: texts would be trained twice or not at all',
  state: "refused: the checkpoint has another optimizer's state",
  course: 'the new value applies from here on, and the training reports it',
  best: 'the search for the best model starts anew, and the training reports it',
  free: 'nothing',
};

const resuming = () =>
  markdown([
    ['what differs', 'what happens'],
    ...Object.entries(meanings).map(([effect, meaning]) => {
      const names = argumentNames.filter((name) => argumentTable[name].resume === effect);
      const all = effect === 'free' ? ['outputDir', ...names] : names;
      return [all.map((name) => `\`${name}\``).join(', '), meaning];
    }),
  ]);

it.each([
  ['options', options],
  ['resuming', resuming],
])('the table of %s is the right one', (name, table) => {
  const [, found] = new RegExp(`<!-- ${name} -->\n\n(.*?)\n\n<!-- /${name} -->`, 's').exec(page) ?? [];
  const right = table();
  if (found !== right) console.log(`docs/training.md should have:\n\n${right}\n`);
  expect(found).toBe(right);
});
