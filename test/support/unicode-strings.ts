/** Generates the same Unicode strings as test/reference/unicode_strings.py from the same seed. */

const SPACES = [
  0x20, 0x20, 0x20, 0x20, 0x09, 0x0a, 0x0d, 0x0b, 0x0c, 0x85, 0xa0, 0x1680, 0x2003, 0x2028, 0x2029, 0x202f,
  0x205f, 0x3000, 0xfeff, 0x200b,
];
const WORDS = [
  "'s",
  "don't",
  "we'll",
  '[MASK]',
  '<mask>',
  '[SEP]',
  '</s>',
  '[UNK]',
  '3.14',
  'C++',
  '\r\n',
  'x_y',
  'İI',
  'ΣΊΣ',
  'ß',
  'ǅ',
  'ﬁ',
  'é',
  'e\u0301\u0323',
  '\u0323\u0301',
  'Å',
  '각',
  '\u1100\u1161\u11a8',
  'நி',
  '👨\u200d👩\u200d👧',
  '🇫🇷',
  '❤\ufe0f',
  '\u202eabc\u202c',
  'ﷺ',
  '½',
  'Ⅷ',
  '①',
  'ｶﾞ',
  '𝔘𝔫',
  'a\u0345\u0334',
];
/** Ranges of code points, all equally likely. */
const RANGES: [number, number][] = [
  [0x21, 0x7e],
  [0x41, 0x5a],
  [0x61, 0x7a],
  [0x61, 0x7a],
  [0x30, 0x39],
  [0x00, 0x1f],
  [0x7f, 0xbf],
  [0xc0, 0x24f],
  [0x250, 0x2ff],
  [0x300, 0x36f],
  [0x370, 0x52f],
  [0x530, 0x5ff],
  [0x600, 0x8ff],
  [0x900, 0xdff],
  [0xe00, 0x10ff],
  [0x1100, 0x11ff],
  [0x1200, 0x1aff],
  [0x1ab0, 0x1cff],
  [0x1d00, 0x1fff],
  [0x2000, 0x206f],
  [0x2070, 0x2bff],
  [0x2c00, 0x2fff],
  [0x3000, 0x33ff],
  [0x3400, 0x9fff],
  [0xa000, 0xabff],
  [0xac00, 0xd7ff],
  [0xd800, 0xdfff],
  [0xe000, 0xf8ff],
  [0xf900, 0xffff],
  [0x10000, 0x10fff],
  [0x11000, 0x11fff],
  [0x12000, 0x16fff],
  [0x17000, 0x1cfff],
  [0x1d000, 0x1dfff],
  [0x1e000, 0x1efff],
  [0x1f000, 0x1ffff],
  [0x20000, 0x323af],
  [0xe0000, 0xe01ff],
  [0x0, 0x10ffff],
];

/** mulberry32: 32 bits at a time. */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/**
 * Keeps lone surrogates, which encode as U+FFFD; Python's version writes U+FFFD for them. One that would
 * complete a pair becomes U+FFFD here too.
 */
export function unicodeStrings(count: number, seed: number): string[] {
  const draw = generator(seed);
  return Array.from({ length: count }, () => {
    let out = '';
    for (let parts = 1 + draw(8); parts > 0; parts -= 1) {
      const kind = draw(10);
      if (kind === 0) out += WORDS[draw(WORDS.length)];
      else if (kind < 3)
        for (let n = 1 + draw(3); n > 0; n -= 1) out += String.fromCodePoint(SPACES[draw(SPACES.length)]!);
      else {
        const [low, high] = RANGES[draw(RANGES.length)]!;
        for (let n = 1 + draw(6); n > 0; n -= 1) {
          const point = low + draw(high - low + 1);
          const pairs = point >= 0xdc00 && point < 0xe000 && /[\ud800-\udbff]$/.test(out);
          out += pairs ? '\ufffd' : String.fromCodePoint(point);
        }
      }
    }
    return out;
  });
}
