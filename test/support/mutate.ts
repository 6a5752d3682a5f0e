/** Seeded damage to files. */
import type { Random } from '../../src/data/random.ts';

/** Values that a key may have by accident or on purpose. A text after the mark is written unescaped. */
const RAW = '\u0001';
const oddValues: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  1.5,
  7,
  1e308,
  -1e308,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e-320,
  '',
  'x',
  '0',
  '../../etc/passwd',
  '\u0000',
  '\ud800',
  '__proto__',
  [],
  [[]],
  [null],
  {},
  { a: 1 },
  `${RAW}NaN`,
  `${RAW}Infinity`,
  `${RAW}1e999`,
  `${RAW}-0`,
  `${RAW}${'['.repeat(2000)}`,
  `${RAW}${'[1,'.repeat(500)}1${']'.repeat(500)}`,
];

type Container = Record<string, unknown> | unknown[];

/** Every object and list in a value, including itself. */
function containers(value: unknown): Container[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value as Container, ...Object.values(value).flatMap(containers)];
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random.integer(from.length)]!;

/** Returns a copy, because it may be damaged in turn. */
const oddValue = (random: Random): unknown => structuredClone(pick(random, oddValues));

function damage(container: Container, random: Random): void {
  const keys = Object.keys(container);
  const key = pick(random, keys);
  const target = container as Record<string, unknown>;
  switch (random.integer(7)) {
    case 0:
      if (Array.isArray(container)) container.splice(Number(key), 1);
      else delete target[key];
      break;
    case 1:
      if (Array.isArray(container)) container.push(oddValue(random));
      else target[`${key}x`] = structuredClone(target[key]);
      break;
    case 2:
      if (!Array.isArray(container)) {
        target[pick(random, ['__proto__x', 'constructor', 'toString', 'length', ''])] = pick(
          random,
          oddValues,
        );
        break;
      }
      container.reverse();
      break;
    default:
      target[key] = oddValue(random);
  }
}

/** Changes one to three keys or values of a JSON text. */
export function mutateJson(text: string, random: Random): string {
  const json: unknown = JSON.parse(text);
  if (random.integer(40) === 0) return stringify(oddValue(random));
  const times = 1 + random.integer(3);
  for (let i = 0; i < times; i += 1) {
    const open = containers(json).filter((container) => Object.keys(container).length > 0);
    if (open.length > 0) damage(pick(random, open), random);
  }
  const out = stringify(json);
  // An own key with this name, which an object literal cannot have.
  return random.integer(20) === 0 ? out.replace('{', '{"__proto__": {"a": 1}, ') : out;
}

function stringify(json: unknown): string {
  return (JSON.stringify(json) ?? 'null').replaceAll(/"\\u0001([^"]*)"/g, '$1');
}

/** Cuts, duplicates, overwrites or flips bytes in one to four places. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  let out = Uint8Array.from(bytes);
  const times = 1 + random.integer(4);
  for (let i = 0; i < times && out.length > 0; i += 1) {
    const at = random.integer(out.length);
    const length = 1 + random.integer(Math.min(16, out.length - at));
    switch (random.integer(6)) {
      case 0:
        out = out.slice(0, at);
        break;
      case 1:
        out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(at + length)]);
        break;
      case 2:
        out = Uint8Array.from([...out.subarray(0, at + length), ...out.subarray(at)]);
        break;
      case 3:
        for (let j = at; j < at + length; j += 1) out[j] = random.integer(256);
        break;
      default:
        out[at]! ^= 1 << random.integer(8);
    }
  }
  return out;
}
