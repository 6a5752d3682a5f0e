/** Places in a text by characters, as Python counts them, and by JavaScript's UTF-16 units. */

const astral = /[\ud800-\udbff][\udc00-\udfff]/;

/** Turns a place counted in characters into one in UTF-16 units; past the end, the text's length. */
export function unitsAt(text: string, characters: number): number {
  if (!astral.test(text)) return Math.min(characters, text.length);
  let unit = 0;
  for (let left = characters; left > 0 && unit < text.length; left -= 1)
    unit += text.codePointAt(unit)! > 0xffff ? 2 : 1;
  return unit;
}

/** Turns a place in UTF-16 units into one counted in characters. */
export function charactersAt(text: string, units: number): number {
  return astral.test(text) ? [...text.slice(0, units)].length : units;
}
