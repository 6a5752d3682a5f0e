/** `UnicodeScripts`: splits a text between scripts, as of Unicode 9; newer characters fit any script. */
import type { AlignedText } from './aligned-text.ts';
import { remembered } from './unicode.ts';

const UNKNOWN =
  '\\u0560\\u0588\\u05ef\\u061d\\u07fd-\\u07ff\\u0860-\\u089f\\u08b5\\u08be-\\u08d3\\u09fc-\\u09fe\\u0a76' +
  '\\u0afa-\\u0aff\\u0b55\\u0c04\\u0c3c\\u0c5c\\u0c5d\\u0c77\\u0c84\\u0cdc\\u0cdd\\u0cf3-\\u0d00\\u0d04\\u0d3b\\u0d3c' +
  '\\u0d81\\u0e86\\u0e89\\u0e8c\\u0e8e-\\u0e93\\u0e98\\u0ea0\\u0ea8\\u0ea9\\u0eac\\u0eba\\u0ece\\u170d\\u1715-\\u171f' +
  '\\u180f\\u1878\\u1abf-\\u1aeb\\u1b4c-\\u1b4f\\u1b7d-\\u1b7f\\u1c89-\\u1cbf\\u1cf7\\u1cfa\\u1df6-\\u1dfa' +
  '\\u20bf-\\u20c1\\u23ff\\u2427-\\u2429\\u2b96\\u2b97\\u2bba-\\u2bbc\\u2bc9\\u2bd2-\\u2beb\\u2bf0-\\u2bff\\u2c2f' +
  '\\u2c5f\\u2e45-\\u2e5d\\u2ffc-\\u2fff\\u312e\\u312f\\u31bb-\\u31bf\\u31e4-\\u31ef\\u32ff\\u4db6-\\u4dbf' +
  '\\u9fd6-\\u9fff\\ua7af\\ua7b8-\\ua7f6\\ua82c\\ua8fe\\ua8ff\\uab66-\\uab6b\\ufbc2-\\ufbd2\\ufd40-\\ufd4f' +
  '\\ufd90\\ufd91\\ufdc8-\\ufdcf\\ufdfe\\ufdff\\u{1019c}\\u{1032d}-\\u{1032f}\\u{10570}-\\u{105f3}' +
  '\\u{10780}-\\u{107ba}\\u{10a34}\\u{10a35}\\u{10a48}\\u{10d00}-\\u{10d8f}\\u{10e80}-\\u{10ff6}' +
  '\\u{11070}-\\u{11075}\\u{110c2}-\\u{110cd}\\u{11144}-\\u{11147}\\u{111ce}\\u{111cf}\\u{1123f}-\\u{11241}' +
  '\\u{1133b}\\u{11380}-\\u{113e2}\\u{1145a}\\u{1145e}-\\u{11461}\\u{116b8}\\u{116b9}\\u{116d0}-\\u{116e3}' +
  '\\u{1171a}\\u{11740}-\\u{1183b}\\u{11900}-\\u{11abf}\\u{11b00}-\\u{11bf9}\\u{11d00}-\\u{11fff}' +
  '\\u{12f90}-\\u{12ff2}\\u{1342f}-\\u{143fa}\\u{16100}-\\u{16139}\\u{16a70}-\\u{16ac9}\\u{16d40}-\\u{16e9a}' +
  '\\u{16f45}-\\u{16f4f}\\u{16f7f}-\\u{16f87}\\u{16fe1}-\\u{16ff6}\\u{187ed}-\\u{187ff}\\u{18af3}-\\u{1affe}' +
  '\\u{1b002}-\\u{1b2fb}\\u{1cc00}-\\u{1cfc3}\\u{1d1e9}\\u{1d1ea}\\u{1d2c0}-\\u{1d2f3}\\u{1d372}-\\u{1d378}' +
  '\\u{1df00}-\\u{1df2a}\\u{1e030}-\\u{1e7fe}\\u{1e94b}\\u{1ec71}-\\u{1ed3d}\\u{1f10d}-\\u{1f10f}\\u{1f12f}' +
  '\\u{1f16c}-\\u{1f16f}\\u{1f1ad}\\u{1f260}-\\u{1f265}\\u{1f6d3}-\\u{1f6df}\\u{1f6f7}-\\u{1f6fc}' +
  '\\u{1f774}-\\u{1f77f}\\u{1f7d5}-\\u{1f7f0}\\u{1f8b0}-\\u{1f90f}\\u{1f91f}\\u{1f928}-\\u{1f92f}' +
  '\\u{1f931}\\u{1f932}\\u{1f93f}\\u{1f94c}-\\u{1f94f}\\u{1f95f}-\\u{1f97f}\\u{1f992}-\\u{1f9bf}' +
  '\\u{1f9c1}-\\u{1fbfa}\\u{2a6d7}-\\u{2a6df}\\u{2b735}-\\u{2b73f}\\u{2cea2}-\\u{2ee5d}\\u{30000}-\\u{33479}';
const SCRIPTS =
  'Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali ' +
  'Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian ' +
  'Chakma Cham Cherokee Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari Duployan ' +
  'Egyptian_Hieroglyphs Elbasan Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gurmukhi ' +
  'Han Hangul Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi ' +
  'Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kayah_Li Kharoshthi Khmer Khojki Khudawadi ' +
  'Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Malayalam Mandaic Manichaean ' +
  'Marchen Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro ' +
  'Multani Myanmar Nabataean New_Tai_Lue Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic ' +
  'Old_North_Arabian Old_Permic Old_Persian Old_South_Arabian Old_Turkic Oriya Osage Osmanya ' +
  'Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan ' +
  'Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sora_Sompeng Sundanese Syloti_Nagri Syriac ' +
  'Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangut Telugu Thaana Thai Tibetan Tifinagh ' +
  'Tirhuta Ugaritic Vai Warang_Citi Yi';

const unknown = new RegExp(`[${UNKNOWN}]`, 'u');
const scripts = SCRIPTS.split(' ').map((name) => [name, new RegExp(`\\p{Script=${name}}`, 'u')] as const);
/** Characters whose script has changed since. */
const MOVED: Record<string, string> = {
  '\u0589': 'Common',
  '\u061c': 'Common',
  '\u0953': 'Devanagari',
  '\u0954': 'Devanagari',
};

/** The script of a character; '' for a space or if it has none. Hiragana and Katakana count as Han. */
const scriptOf = remembered((character) => {
  if (character === ' ' || unknown.test(character)) return '';
  if (character === '\u30fc') return 'Han';
  const script = MOVED[character] ?? scripts.find(([, pattern]) => pattern.test(character))?.[0] ?? '';
  return script === 'Hiragana' || script === 'Katakana' ? 'Han' : script;
});

/**
 * Splits a text between scripts. Characters of any script stay with the ones before them; before the first
 * script they are dropped, as in Python.
 */
export function splitScripts(text: AlignedText): AlignedText[] {
  const starts: number[] = [];
  let last: string | null = null;
  let at = 0;
  for (const character of text.text) {
    const script = scriptOf(character);
    if (script !== '' && script !== last) starts.push(at);
    if (script !== '') last = script;
    at += character.length;
  }
  return starts.map((start, index) => text.slice(start, starts[index + 1] ?? at));
}
