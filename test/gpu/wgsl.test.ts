/** The shader preprocessor. */
import { describe, expect, it } from 'vitest';
import { assembleShader } from '../../src/gpu/wgsl.ts';

/* biome-ignore-start lint/suspicious/noTemplateCurlyInString: the preprocessor's own syntax */
const files = {
  plain: 'a ${N} b ${2 * N + 1} ${(N + 1) % 3} ${7 / 2 - 1}',
  loop: '#for i in 0..N\nx${i}\n#for j in i..N - 1\ny${i}${j}\n#end\n#end',
  choice: '#if KIND == one\n1\n#else\n2\n#endif\n#if FLAG\n3\n#endif\n#if !FLAG\n4\n#endif',
  nested: '#if FLAG\n#if FLAG\nin\n#else\nout\n#endif\n#else\nnot\n#endif',
  include: '#include <common/part>\n#include <common/part>\nend',
  'common/part': 'part',
  unused: '#if FLAG\n#include <common/part>\n#endif\n#include <common/part>',
  names: '#for x in q k\nload_${x}\n#end\n#let READ = "v o"\n#for x in a ${READ}\n${x}\n#end',
  'no names': '#for x in q, k\n#end',
  named: '#let M = 2 * N\n#for i in 0..2\n#let K = M + i\n${K}\n#end\n${M}',
  lost: '#if FLAG\n#let M = 1\n#endif\n${M}',
  unread: '#let M',
  unclosed: '#if FLAG\nx',
  absent: '#include <common/nothing>',
};
const expand = (name: string, defines = {}) =>
  assembleShader(name, defines, files).trim().split('\n').join(' ');

describe('assembling', () => {
  it('fills in numbers and names', () => expect(expand('plain', { N: 4 })).toBe('a 4 b 9 2 2'));
  it('unrolls loops', () => expect(expand('loop', { N: 3 })).toBe('x0 y00 y01 x1 y11 x2'));
  it('chooses', () => {
    expect(expand('choice', { KIND: 'one', FLAG: true })).toBe('1 3');
    expect(expand('choice', { KIND: 'two', FLAG: false })).toBe('2 4');
    expect(expand('nested', { FLAG: true })).toBe('in');
    expect(expand('nested', { FLAG: false })).toBe('not');
  });
  it('names numbers', () => expect(expand('named', { N: 3 })).toBe('6 7 6'));
  it('loops over names', () => expect(expand('names')).toBe('load_q load_k a v o'));
  it('includes each file once', () => expect(expand('include')).toBe('part end'));
  it('does not count an include that was not chosen', () => {
    expect(expand('unused', { FLAG: false })).toBe('part');
    expect(expand('unused', { FLAG: true })).toBe('part');
  });
  it.each(['plain', 'lost', 'unread', 'no names', 'unclosed', 'absent', 'nowhere'])(
    'names what is wrong: %s',
    (name) => {
      expect(() => expand(name, name === 'lost' ? { FLAG: true } : {})).toThrowErrorMatchingSnapshot();
    },
  );
});

it('rolls a loop whose end compilers must not know', () => {
  const source = ['#each c in 0..N | count()', 'sum += x[${c}];', '#end'].join('\n');
  const expand = (ROLLED: boolean) => assembleShader('x', { ROLLED, N: 2 }, { x: source });
  expect(expand(false)).toBe('sum += x[0];\nsum += x[1];');
  expect(expand(true)).toBe('for (var c = 0u; c < count(); c += 1u) {\nsum += x[c];\n}');
  expect(() => assembleShader('x', { ROLLED: true, N: 2 }, { x: '#each c in 0..N\n#end' })).toThrow(
    '#each c in 0..N',
  );
});
/* biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above */
