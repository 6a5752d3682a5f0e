/**
 * Matrix units of 16 × 16 × 16, as AMD and NVIDIA have them, for adapters without any: rewrites the shaders' text,
 * so that a subgroup is LANES adjacent invocations and a matrix an array. Of a result each invocation has its part
 * of the elements, of the other matrices all. Slow; the arithmetic, places and barriers are the shaders' own.
 */
import type { GpuContext } from '../../src/gpu/context.ts';
import type { SubgroupMatrix } from '../../src/gpu/subgroup-matrix.ts';

/** The text up to the parenthesis that closes the one before `start`, and where it is. */
function closing(text: string, start: number): number {
  let depth = 1;
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '(' || text[at] === '[') depth += 1;
    if (text[at] === ')' || text[at] === ']') depth -= 1;
    if (depth === 0) return at;
  }
  throw new Error(`a call is not closed: ${text}`);
}

/** Arguments, of which none has a comma outside parentheses. */
function argumentsOf(text: string): string[] {
  const out = [''];
  let depth = 0;
  for (const char of text) {
    if ('(['.includes(char)) depth += 1;
    if (')]'.includes(char)) depth -= 1;
    if (char === ',' && depth === 0) out.push('');
    else out[out.length - 1] += char;
  }
  return out.map((one) => one.trim());
}

/** Element `flat` of a pointer's array of four-vectors. */
const elementOf = (pointer: string, flat: string): string => {
  const array = pointer.startsWith('&') ? pointer.slice(1) : `(*${pointer})`;
  return `${array}[(${flat}) / 4u][(${flat}) % 4u]`;
};

const place = (order: string, offset: string, stride: string): string =>
  order === 'row_major'
    ? `4u * (${offset} + row * ${stride}) + column`
    : `4u * (${offset} + column * ${stride}) + row`;

/** The elements of a matrix that an invocation has, as the variables `row` and `column` of a loop over `i`. */
const places = {
  Left: 'let row = i / K; let column = i % K;',
  Right: 'let row = i / N; let column = i % N;',
  Result: 'let row = (i * LANES + lane) / N; let column = (i * LANES + lane) % N;',
};

const loop = (type: string, body: string): string =>
  `for (var i = 0u; i < EACH_${type} + none; i += 1u) { ${places[type as keyof typeof places]} ${body} }`;

const CALL = /subgroupMatrix(Load|Store|MultiplyAccumulate)(?:<([^>]+)>)?\(/g;

/** A line without calls, of which there may be several. Arrays are never copied: compilers would unroll that. */
function rewriteLine(line: string, number: number): string {
  const before: string[] = [];
  let rest = line;
  // The last call is the innermost.
  for (;;) {
    const call = [...rest.matchAll(CALL)].at(-1);
    if (call === undefined) return [...before, rest].join('\n');
    const start = call.index + call[0].length;
    const end = closing(rest, start);
    const [one, two, three, four] = argumentsOf(rest.slice(start, end)) as [string, string, string, string];
    const [first, second] = argumentsOf(call[2] ?? '') as [string, string];
    if (call[1] === 'Store') {
      const target = elementOf(one, place(first, two, four));
      rest = loop('Result', `${target} = ${three}[i];`);
    } else if (call[1] === 'Load') {
      const [, declared] = /^\s*let (\w+) = $/.exec(rest.slice(0, call.index)) ?? [];
      const name = declared ?? `loaded${number}_${before.length}`;
      const source = elementOf(one, place(second, two, three));
      before.push(`var ${name}: ${first}; ${loop(first, `${name}[i] = ${source};`)}`);
      rest = declared === undefined ? rest.slice(0, call.index) + name + rest.slice(end + 1) : '';
    } else {
      if (rest.slice(0, call.index).trim() !== `${three} =`)
        throw new Error(`not added up in place: ${line}`);
      const product = `f32(${one}[row * K + k]) * f32(${two}[k * N + column])`;
      const sum = `var sum = ${three}[i]; for (var k = 0u; k < K + none; k += 1u) { sum += ${product}; }`;
      rest = loop('Result', `${sum} ${three}[i] = sum;`);
    }
  }
}

const ALIAS = /^alias (Left|Right|Result) = subgroup_matrix_\w+<(\w+), .*>;$/;

/** A shader's text without matrix units; others as they are. */
export function withoutMatrixUnits(code: string, { M, N, K, lanes }: SubgroupMatrix): string {
  if (!code.includes('enable chromium_experimental_subgroup_matrix;')) return code;
  const component = /subgroup_matrix_left<(\w+),/.exec(code)![1]!;
  const lines = code
    .replace('enable chromium_experimental_subgroup_matrix;', '')
    .replace('enable subgroups;', '')
    .replace(/@builtin\((subgroup_id|num_subgroups)\) \w+: u32,/g, '')
    .split('\n')
    .map((line, number) => {
      if (ALIAS.test(line)) return '';
      if (line.trim() === ') {')
        return `${line}\n  lane = index % LANES;\n  none = select(0u, 1u, group.x == 60000u);\n  let subgroup = index / LANES; let subgroups = GROUP / LANES;`;
      return rewriteLine(line, number);
    });
  const enables = lines.filter((line) => line.startsWith('enable '));
  return [
    ...enables,
    `const M = ${M}u; const N = ${N}u; const K = ${K}u; const LANES = ${lanes}u;`,
    'const EACH_Left = M * K; const EACH_Right = K * N; const EACH_Result = M * N / LANES;',
    `alias Left = array<${component}, EACH_Left>; alias Right = array<${component}, EACH_Right>;`,
    'alias Result = array<f32, EACH_Result>;',
    'var<private> lane: u32;',
    // Zero, but compilers do not know it, and so unroll no loop: programs would take them minutes.
    'var<private> none: u32;',
    ...lines.filter((line) => !line.startsWith('enable ')),
  ].join('\n');
}

/** The sizes of AMD's subgroups: products have the smallest, attention the largest. */
export const AS_AMD = { lanes: 32, maxLanes: 64 } as const;

/** Lends the context such units, if it has none and computes in float16; says whether it did. */
export function lendMatrixUnits(gpu: GpuContext, lanes: Pick<SubgroupMatrix, 'lanes' | 'maxLanes'>): boolean {
  if (gpu.subgroupMatrices.length > 0 || !gpu.float16) return false;
  const matrix: SubgroupMatrix = { component: 'f16', M: 16, N: 16, K: 16, ...lanes };
  gpu.subgroupMatrices = [matrix];
  const make = gpu.device.createShaderModule.bind(gpu.device);
  gpu.device.createShaderModule = (module) => {
    const used = module.label?.startsWith('attention') ? lanes.maxLanes : lanes.lanes;
    return make({ ...module, code: withoutMatrixUnits(module.code, { ...matrix, lanes: used }) });
  };
  return true;
}
