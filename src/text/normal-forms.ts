/**
 * NFD, NFC, NFKD and NFKC with the source of each character. JavaScript's `normalize` gives only the text, so
 * this decomposes character by character, and calls `normalize` on pairs to learn the order of marks and what
 * composes.
 */
import type { AlignedText } from './aligned-text.ts';
import { isMark, isUnknownComposite, remembered, sizeAt } from './unicode.ts';

export type NormalForm = 'NFD' | 'NFC' | 'NFKD' | 'NFKC';

/** Characters that only Python's compatible forms (NFKD, NFKC) do not know yet; its canonical forms do. */
const onlyCompatible = (c: number): boolean => c < 0x105c9 || (c > 0x105e4 && c < 0x11383) || c > 0x16d6a;

const canonical = remembered((c) =>
  isUnknownComposite(c) && !onlyCompatible(c.codePointAt(0)!) ? [c] : Array.from(c.normalize('NFD')),
);
const compatible = remembered((c) => (isUnknownComposite(c) ? [c] : Array.from(c.normalize('NFKD'))));

/** Whether two marks swap in every normal form, because the first has the higher combining class. */
const swaps = remembered((pair) => {
  const [first, second] = Array.from(pair) as [string, string];
  return isMark(first) && isMark(second) && pair.normalize('NFD') === second + first;
});

/** Whether a character has no combining class: tests against the lowest (U+0334) and highest (U+0345). */
const isStarter = remembered((c) => !swaps(`${c}\u0334`) && !swaps(`\u0345${c}`));

/** The composition of two characters, or '' if they do not compose. */
const composed = remembered((pair) => {
  const made = pair.normalize('NFC');
  const single = made.length === sizeAt(made, 0);
  return single && !isUnknownComposite(made) ? made : '';
});

/** Characters, and how each changes the text (see `AlignedText.transform`). */
interface Changes {
  characters: string[];
  changes: number[];
}

/** Orders marks by combining class; equal classes keep their order. */
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
  /** `starter`: index of the last starter in `out`; `last`: the last mark after it that did not compose. */
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
