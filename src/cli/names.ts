/** Maps the library's arguments to the command's options. */
import { optionNames } from './training-options.ts';

const names: ReadonlyMap<string, string> = new Map([
  ...optionNames(),
  ['outputDir', '--output'],
  ['earlyStoppingPatience', '--early-stopping'],
  ['maxLength', '--max-length'],
  ['docStride', '--doc-stride'],
  ['mlmProbability', '--mlm-probability'],
  ['wholeWordMask', '--whole-word-mask'],
  ['matryoshkaDims', '--matryoshka-dims'],
]);

/**
 * Rewrites a library message with the command's options in place of arguments. Quoted paths stay unchanged,
 * and flags lose their values.
 */
export function inCommandNames(message: string): string {
  return message
    .replace(/^loss (?=is ')/, '--loss ')
    .replace(/'[^']*'|\b[a-zA-Z0-9]+\b/g, (word) => names.get(word) ?? word)
    .replace(/\bwith (--(?:group-by-length|fp16)) (true|false)\b/g, (_, flag: string, value: string) =>
      value === 'true' ? `with ${flag}` : `without ${flag}`,
    );
}
