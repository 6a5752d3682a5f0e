/**
 * NFD, NFC, NFKD and NFKC with the source of each character. JavaScript's `normalize` gives only the text, so
 * decomposition goes character by character, and the order of marks and what composes are asked of it for two
 * characters at a time.
 */
import type { AlignedText } from './aligned-text.ts';
import { isMark, isUnknownComposite, remembered } from './unicode.ts';

export type NormalForm = 'NFD' | 'NFC' | 'NFKD' | 'NFKC';

/** Of the characters that are new to the compatible forms, the canonical ones know these. */
const onlyCompatible = (c: number): boolean => c < 0x105c9 || (c > 0x105e4 && c < 0x11383) || c > 0x16d6a;

const canonical = remembered((c) =>
  isUnknownComposite(c) && !onlyCompatible(c.codePointAt(0)!) ? [c] : Array.from(c.normalize('NFD')),
);
const compatible = remembered((c) => (isUnknownComposite(c) ? [c] : Array.from(c.normalize('NFKD'))));

/**
 * Whether two marks stand in the other order in every normal form: the first has the higher combining class.
 */
const swaps = remembered((pair) => {
  const [first, second] = Array.from(pair) as [string, string];
  return isMark(first) && isMark(second) && pair.normalize('NFD') === second + first;
});

/** Whether a character has no combining class: U+0334 has the lowest one, U+0345 the highest. */
const isStarter = remembered((c) => !swaps(`${c}\u0334`) && !swaps(`\u0345${c}`));

/** What two characters compose to; '' where they do not. */
const composed = remembered((pair) => {
  const made = pair.normalize('NFC');
  const single = made.length === (made.codePointAt(0)! > 0xffff ? 2 : 1);
  return single && !isUnknownComposite(made) ? made : '';
});

/** Characters and what each does to the one that stood there (`AlignedText.transform`). */
interface Changes {
  characters: string[];
  changes: number[];
}

/** By combining class; marks of the same one keep their order. */
const byClass = ([a]: readonly [string, number], [b]: readonly [string, number]): number =>
  swaps(a + b) ? 1 : swaps(b + a) ? -1 : 0;

function decompose(text: string, parts: (character: string) => string[]): Changes {
  const out: Changes = { characters: [], changes: [] };
  let marks: [string, number][] = [];
  const flush = (): void => {
    for (const [character, change] of marks.length > 1 ? marks.sort(byClass) : marks) {
      out.characters.push(character);
      out.changes.push(change);
    }
    marks = [];
  };
  for (const character of text) {
    for (const [index, part] of parts(character).entries()) {
      if (isStarter(part)) flush();
      marks.push([part, index === 0 ? 0 : 1]);
      if (isStarter(part)) flush();
    }
  }
  flush();
  return out;
}

function compose({ characters, changes }: Changes): Changes {
  const out: Changes = { characters: [], changes: [] };
  /** Where the last starter stands in `out`, and the last mark behind it that did not compose. */
  let starter = -1;
  let last = '';
  for (const [index, character] of characters.entries()) {
    const change = changes[index]!;
    const blocked = last !== '' && (isStarter(character) || !swaps(character + last));
    const made = starter < 0 || blocked ? '' : composed(out.characters[starter]! + character);
    if (made !== '') {
      out.characters[starter] = made;
      out.changes[starter]! += change - 1;
      continue;
    }
    if (isStarter(character)) {
      starter = out.characters.length;
      last = '';
    } else last = character;
    out.characters.push(character);
    out.changes.push(change);
  }
  return out;
}

export function toNormalForm(aligned: AlignedText, form: NormalForm): AlignedText {
  const { text } = aligned;
  if (/^[\0-\x7f]*$/.test(text)) return aligned;
  const apart = decompose(text, form === 'NFD' || form === 'NFC' ? canonical : compatible);
  const { characters, changes } = form === 'NFD' || form === 'NFKD' ? apart : compose(apart);
  return aligned.transform(characters, changes);
}
