/** `UnicodeScripts`: splits a text between scripts, as of Unicode 9; newer characters fit any script. */
import type { AlignedText } from './aligned-text.ts';
import { newSince9, remembered } from './unicode.ts';

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
  if (character === ' ' || newSince9.test(character)) return '';
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
