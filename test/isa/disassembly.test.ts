/** Machine code read from text: both notations, loops, kinds of instructions and what they load. */
import { describe, expect, it } from 'vitest';
import { chips } from '../../tools/isa/chips.ts';
import { findLoops, innermostLoops, parseDisassembly } from '../../tools/isa/disassembly.ts';
import { bytesLoaded, kindOf, multiplyAdds } from '../../tools/isa/instructions.ts';
import { readKernelCode, wavesOf } from '../../tools/isa/kernel-code.ts';
import { scalarNames } from '../../tools/isa/record.ts';

const LLVM = `BB0:
	s_load_dwordx4 s[8:11], s[0:1], null                        ; f4080200 fa000000
	s_nop 0                                                     ; bf800000
	(then repeated 6 times)
BB1:
	s_cmp_ge_u32 s9, s0                                         ; bf090009
	s_cbranch_scc1 BB5                                          ; bf8500ce
BB2:
	ds_load_b128 v[4:7], v1 offset:256                          ; d8fc0100 04000001
	ds_load_2addr_b64 v[8:11], v1 offset0:2 offset1:3           ; d9dc0302 08000001
	buffer_load_b64 v[2:3], v1, s[8:11], 0 offen                ; e0541000 80420201
	s_waitcnt lgkmcnt(0)                                        ; bf89fc07
	v_fmac_f32_e32 v12, v4, v8                                  ; 56181104
	v_dual_fmac_f32 v13, v5, v9 :: v_dual_mul_f32 v14, v6, v10  ; c80614f5 0d0e1506
	v_dual_fmac_f32 v15, v5, v9 :: v_dual_fmac_f32 v16, v6, v10 ; c80014f5 0f101506
	v_fma_mix_f32 v17, v4, v8, v17 op_sel_hi:[1,1,0]            ; cc200811 1c461104
	v_mad_u32_u24 v18, v4, v8, v18                              ; d5060012 04461104
	v_min_u32_e32 v1, 0x3f0, v1                                 ; 260202ff 000003f0
	s_cbranch_execz BB1                                         ; bfa5fff0
BB3:
	s_branch BB1                                                ; bfa0fff1
BB5:
	s_cbranch_scc0 BB0                                          ; bfa1fff0
BB6:
	s_endpgm                                                    ; bfb00000
`;

const ACO = `Shader disassembly is not supported in the current configuration, falling back to print_program.

After lowering to hw instructions:
ACO shader stage: SW (CS), HW (COMPUTE_SHADER)
BB0
/* logical preds: / linear preds: / kind: uniform, top-level, loop-preheader, */
	 s1: %1:s[4],  s1: %1738:scc = s_bfe_u32 %1733:s[116], 0x50019
BB1
/* logical preds: BB0, BB9, / linear preds: BB0, BB9, / kind: loop-header, branch, */
	s_delay_alu valu_dep_1
	 v4: %143:v[72-75] = ds_read_b128 %140:v[24] offset:16 storage:shared
	 v1: (precise)%406:v[6] = v_fmac_f32 %1876:v[132], %1844:v[100], %357:v[6]
	 v1: %336:v[18] = v_dual_fmac_f32 %902:v[50], %298:v[18] :: v1: %333:v[13] = v_dual_mov_b32 %901:v[49]
	 s2: %0:exec = v_cmpx_le_u32 0x4000, %9:v[2]
	ds_write_b128 %9:v[2], %1744:v[4-7] storage:shared
	s_cbranch_scc0 block:BB1
BB2
	s_endpgm
`;

const names = (text: string): string[][] =>
  parseDisassembly(text).map(({ instructions }) => instructions.map(({ name }) => name));

describe('parseDisassembly', () => {
  it("reads LLVM's notation", () => {
    const blocks = parseDisassembly(LLVM);
    expect(blocks.map(({ label }) => label)).toEqual(['BB0', 'BB1', 'BB2', 'BB3', 'BB5', 'BB6']);
    expect(names(LLVM)[0]).toEqual(['s_load_dwordx4', 's_nop']);
    expect(blocks[1]!.instructions[1]).toEqual({ name: 's_cbranch_scc1', target: 'BB5' });
    expect(blocks[2]!.instructions[5]).toEqual({ name: 'v_dual_fmac_f32', second: 'v_dual_mul_f32' });
  });

  it("reads ACO's own notation", () => {
    expect(names(ACO)).toEqual([
      ['s_bfe_u32'],
      [
        's_delay_alu',
        'ds_read_b128',
        'v_fmac_f32',
        'v_dual_fmac_f32',
        'v_cmpx_le_u32',
        'ds_write_b128',
        's_cbranch_scc0',
      ],
      ['s_endpgm'],
    ]);
    expect(parseDisassembly(ACO)[1]!.instructions[3]!.second).toBe('v_dual_mov_b32');
    expect(parseDisassembly(ACO)[1]!.instructions.at(-1)!.target).toBe('BB1');
  });
});

it('finds loops: jumps back to one head are one loop, and the innermost holds no other', () => {
  const loops = findLoops(parseDisassembly(LLVM));
  expect(loops).toEqual([
    { first: 1, last: 3 },
    { first: 0, last: 4 },
  ]);
  expect(innermostLoops(loops)).toEqual([{ first: 1, last: 3 }]);
});

describe('instructions', () => {
  it.each([
    ['v_fmac_f32', 'multiplyAdd'],
    ['v_fmaak_f32', 'multiplyAdd'],
    ['v_pk_fma_f16', 'multiplyAdd'],
    ['v_dot2_f32_f16', 'multiplyAdd'],
    ['v_fma_mix_f32', 'multiplyAdd'],
    ['v_wmma_f32_16x16x16_f16', 'multiplyAdd'],
    ['v_fma_mixlo_f16', 'vector'],
    ['v_mad_u32_u24', 'vector'],
    ['v_mul_f32', 'vector'],
    ['ds_store_b128', 'workgroup'],
    ['ds_swizzle_b32', 'workgroup'],
    ['buffer_store_dwordx4', 'memory'],
    ['scratch_load_b32', 'memory'],
    ['s_buffer_load_b512', 'scalar'],
    ['s_cbranch_scc1', 'scalar'],
    ['s_waitcnt_depctr', 'wait'],
    ['s_barrier', 'wait'],
  ] as const)('%s is %s', (name, kind) => {
    expect(kindOf(name)).toBe(kind);
  });

  it('both halves of a dual-issued pair multiply and add', () => {
    const name = 'v_dual_fmac_f32';
    expect([kindOf(name), kindOf('v_dual_mov_b32')]).toEqual(['multiplyAdd', 'vector']);
    expect(multiplyAdds({ name, second: name }, 32)).toBe(64);
  });

  it.each([
    ['v_fma_f32', 64, 64],
    ['v_pk_fma_f16', 32, 64],
    ['v_dot2_f32_f16', 32, 64],
    ['v_wmma_f32_16x16x16_f16', 64, 4096],
    ['v_mul_f32', 64, 0],
  ])('%s by %i lanes makes %i multiply-adds', (name, lanes, count) => {
    expect(multiplyAdds({ name }, lanes)).toBe(count);
  });

  it.each([
    ['ds_load_b128', 16 * 32],
    ['ds_read2_b64', 16 * 32],
    ['ds_load_2addr_stride64_b32', 8 * 32],
    ['ds_load_u16_d16_hi', 2 * 32],
    ['buffer_load_dwordx3', 12 * 32],
    ['buffer_load_dword', 4 * 32],
    ['buffer_load_ushort', 2 * 32],
    ['buffer_load_ubyte', 32],
    ['global_load_u8', 32],
    ['buffer_load_u8_d16', 32],
    ['s_buffer_load_dwordx16', 64],
    ['s_load_b128', 16],
    ['buffer_store_b128', 0],
    ['v_mov_b32', 0],
  ])('%s loads %i bytes by 32 lanes', (name, bytes) => {
    expect(bytesLoaded({ name }, 32)).toBe(bytes);
  });
});

describe('readKernelCode', () => {
  const chip = chips.find(({ name }) => name === 'navi31')!;
  const statistics = {
    VGPRs: 144,
    'Spilled VGPRs': 13,
    'Spilled SGPRs': 2,
    'LDS size': 4096,
  };
  const invocations = 64;

  it('describes the hot loop', () => {
    const code = readKernelCode({ subgroupSize: 64, invocations, statistics, disassembly: LLVM }, chip);
    expect(code).toMatchObject({ registers: 144, waves: 10, workgroupBytes: 4096 });
    expect(code.spills).toEqual({ vector: 13, scalar: 2 });
    expect(code.hot).toEqual({
      // Multiply-adds: one, one beside a multiplication, two, one.
      counts: { multiplyAdd: 5, vector: 3, workgroup: 2, memory: 1, scalar: 4, wait: 1 },
      pairs: 2,
      multiplyAdds: 5 * 64,
      bytes: { memory: 8 * 64, workgroup: 32 * 64 },
      turns: 8,
      share: 5 / 10,
      rate: 5 / 8,
    });
  });

  // As Mesa 25.0 counts for chips whose registers it knows; and RDNA 4, which has as many as navi31.
  it.each([
    ['navi21', 136, 0, 64, 6],
    ['navi21', 128, 15360, 128, 8],
    ['navi21', 48, 8192, 256, 20],
    ['navi31', 120, 36864, 256, 8],
    ['navi31', 144, 23552, 128, 6],
    ['navi31', 156, 35328, 256, 8],
    ['navi31', 24, 0, 64, 32],
    ['gfx1200', 192, 15360, 128, 8],
    ['gfx1200', 144, 16384, 256, 10],
  ] as const)(
    '%s: %i registers, %i bytes for %i invocations, %i waves',
    (name, VGPRs, bytes, size, waves) => {
      const of = chips.find((one) => one.name === name)!;
      const compiled = { subgroupSize: 64, statistics: { VGPRs, 'LDS size': bytes }, invocations: size };
      expect(wavesOf(compiled, of)).toBe(waves);
    },
  );

  it('weighs a matrix instruction by the time its multiply-adds take', () => {
    const disassembly =
      'BB0:\n\tv_wmma_f32_16x16x16_f16 v[40:47], v[0:7], v[8:15], v[40:47]\n\tv_mov_b32_e32 v1, 0\n\ts_branch BB0\n';
    const of = (subgroupSize: number) =>
      readKernelCode({ subgroupSize, invocations, statistics, disassembly }, chip).hot!;
    // 4096 at 128 a cycle are 32 cycles: those of 32 ordinary instructions of 32 lanes, or of 16 of 64.
    expect(of(32)).toMatchObject({ turns: 33, share: 32 / 33, rate: 128 / 33 });
    expect(of(64)).toMatchObject({ turns: 17, share: 16 / 17, rate: 64 / 17 });
  });

  it('knows programs without a loop, and names a statistic that is missing', () => {
    const compiled = { subgroupSize: 64, invocations, statistics, disassembly: 'BB0:\n\ts_endpgm\n' };
    expect(readKernelCode(compiled, chip).hot).toBeNull();
    expect(() => readKernelCode({ ...compiled, statistics: {} }, chip)).toThrow("says nothing of 'VGPRs'");
  });
});

it("takes the scalars' names from the shader", () => {
  const code = `struct Params {
  m: u32, n: u32, // rows: u32 of c
  padding: i32,
  scale: f32,
}
struct Other { k: u32 }`;
  expect(scalarNames(code)).toEqual(['m', 'n', 'padding', 'scale']);
  expect(scalarNames('fn main() {}')).toEqual([]);
});
