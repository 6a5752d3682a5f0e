/** Names of classes that files, or people, get to see. */

/** Any class, abstract ones too. */
type Class = abstract new (...args: never) => unknown;

/** Gives classes the names of the record: bundlers shorten those that the code has. */
export function keepNames(classes: Readonly<Record<string, Class>>): void {
  for (const [name, value] of Object.entries(classes)) Object.defineProperty(value, 'name', { value: name });
}
