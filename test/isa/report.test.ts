/** What the tool says of machine code: work of launches, estimates, tables, and the list of known failures. */
import { describe, expect, it } from 'vitest';
import { textTable } from '../../bench/lib/table.ts';
import { type Chip, chips } from '../../tools/isa/chips.ts';
import { whatIsMissing } from '../../tools/isa/compile.ts';
import { driverOf, failureLine, failuresOf, ratchet } from '../../tools/isa/conditions.ts';
import type { HotLoop, KernelCode } from '../../tools/isa/kernel-code.ts';
import type { Launch } from '../../tools/isa/record.ts';
import { estimateJob, workOf } from '../../tools/isa/roofline.ts';
import { comparison, jobOverviewTable, overviewTable, shortName } from '../../tools/isa/tables.ts';

function launch(kernel: string, scalars: Record<string, number>, bytes: number[], z = 1): Launch {
  return { kernel, scalars, bytes, grid: [1, 1, z] };
}

const hot: HotLoop = {
  counts: { multiplyAdd: 80, vector: 16, workgroup: 4, memory: 0, scalar: 4, wait: 8 },
  pairs: 0,
  multiplyAdds: 80 * 64,
  bytes: { memory: 640, workgroup: 80 * 64 },
  turns: 100,
  share: 0.8,
  rate: 0.8,
};
const good: KernelCode = {
  subgroupSize: 64,
  registers: 100,
  spills: { vector: 0, scalar: 0 },
  waves: 10,
  workgroupBytes: 2048,
  hot: { ...hot, turns: 90, share: 8 / 9, rate: 8 / 9 },
};

describe('workOf', () => {
  it('counts products, batched and in parts', () => {
    const sizes = { m: 4, n: 8, k: 16 };
    expect(workOf(launch('matmul_tiled ROWS=8', { ...sizes, part: 0 }, [10, 20], 3))).toEqual({
      multiplyAdds: 3 * 512,
      bytes: 30,
    });
    expect(workOf(launch('matmul_tiled ROWS=8', { ...sizes, part: 4 }, [], 4)).multiplyAdds).toBe(512);
    expect(workOf(launch('matmul_parts', sizes, [8])).multiplyAdds).toBe(0);
  });

  it('counts attention, forward and backward', () => {
    const scalars = { tokens: 64, length: 32, heads: 2, size: 8 };
    const pairs = 64 * 32 * 2 * 8;
    const products = (kernel: string): number => workOf(launch(kernel, scalars, [])).multiplyAdds / pairs;
    expect(products('attention VEC=true')).toBe(2);
    expect(products('attention_tiled VEC=true')).toBe(2);
    expect(products('attention_backward PART=query FUSED=false')).toBe(3);
    expect(products('attention_backward_tiled PART=key FUSED=true')).toBe(4);
    expect(products('attention_backward PART=key FUSED=true')).toBe(4);
    expect(() => products('attention_backward PART=tile')).toThrow('the work of its part is not known');
    expect(() => workOf(launch('attention', {}, []))).toThrow("has no scalar 'tokens'");
  });

  it('counts the rows of a table that are looked up', () => {
    const { bytes } = workOf(launch('embedding PART=gather', { rows: 2, cols: 8 }, [8, 1e9, 64]));
    expect(bytes).toBe(8 + 64 + 64);
  });
});

describe('estimateJob', () => {
  const chip: Chip = { ...chips[0]!, computeUnits: 1, clock: 1e6, bandwidth: 1e6 };
  const matmul = launch('matmul_tiled', { m: 64, n: 100, k: 80, part: 0 }, [1000]);
  const copy = launch('cast', {}, [4000]);

  it('takes the longer of arithmetic and memory of each launch', () => {
    const kernels = new Map([
      ['matmul_tiled', { ...good, hot }],
      ['cast', { ...good, hot: null }],
    ]);
    const estimate = estimateJob({ name: 'job', launches: [matmul, copy, copy] }, kernels, chip);
    // 512,000 multiply-adds are 100 rounds of 100 turns of two cycles, on two SIMD units of 1 MHz.
    expect(estimate.arithmetic).toBeCloseTo(0.01, 12);
    expect(estimate.memory).toBeCloseTo(0.008, 12);
    expect(estimate.seconds).toBeCloseTo(0.018, 12);
    expect(estimate.ideal).toBeCloseTo(0.008, 12);
    expect(estimate.shaders.map(({ shader }) => shader)).toEqual(['matmul_tiled', 'cast']);
  });

  it('takes longer where workgroup memory cannot keep up', () => {
    const bytes = { memory: 0, workgroup: 300 * 64 };
    const kernels = new Map([['matmul_tiled', { ...good, hot: { ...hot, bytes } }]]);
    const { arithmetic } = estimateJob({ name: 'job', launches: [matmul] }, kernels, chip);
    // 300 cycles a round instead of 200.
    expect(arithmetic).toBeCloseTo(0.015, 12);
  });
});

describe('conditions', () => {
  it('names what each kernel misses', () => {
    const kernels = new Map<string, KernelCode>([
      ['matmul_tiled ROWS=8 HALF=false', { ...good, hot }],
      ['matmul_tiled ROWS=4', good],
      ['matmul_parts', { ...good, hot: null }],
      ['attention SIZE=64', { ...good, waves: 7, spills: { vector: 0, scalar: 1 } }],
      ['attention_backward', { ...good, waves: 8 }],
      ['reduce', { ...good, waves: 4, spills: { vector: 1, scalar: 0 } }],
    ]);
    expect(failuresOf('navi21', kernels).map(failureLine)).toEqual([
      'navi21 · matmul_tiled ROWS=8 · at least 85 % multiply-adds',
      'navi21 · attention SIZE=64 · no spills',
      'navi21 · attention SIZE=64 · at least 8 waves',
      'navi21 · reduce · no spills',
    ]);
  });

  it('tells new failures from those that are gone', () => {
    expect(ratchet(['a', 'b'], ['b', 'c'])).toEqual({ added: ['c'], gone: ['a'] });
  });

  it("takes Mesa's version from the adapter", () => {
    expect(driverOf('null-hardware-radv-navi31 · radv: Mesa 25.0.7-2~bpo12+1')).toBe('Mesa 25.0');
  });
});

describe('tables', () => {
  const chip = chips[0]!;
  const report = (kernels: [string, KernelCode][]) => ({
    chip,
    adapter: '',
    kernels: new Map(kernels),
    disassembly: new Map(),
    jobs: [],
  });

  it('leaves out of a name what the kernel is not', () => {
    expect(shortName('matmul_tiled ROWS=8 PREFETCH=0 HALF=false VEC_A=true ACTIVATION=none')).toBe(
      'matmul_tiled ROWS=8 VEC_A',
    );
  });

  it('shows kernels that multiply, and the worst of the others', () => {
    const kernels: [string, KernelCode][] = [
      ['reduce', { ...good, registers: 12, waves: 32, hot: null }],
      ['adamw', { ...good, registers: 36, waves: 16 }],
      ['matmul_tiled ROWS=8', { ...good, hot }],
    ];
    expect(overviewTable([report(kernels)]).rows).toEqual([
      ['matmul_tiled ROWS=8', '100 / 0 / 10 / 80 %'],
      ['2 others', '≤ 36 / 0 / ≥ 16'],
    ]);
    const paired: [string, KernelCode][] = [['matmul', { ...good, hot: { ...hot, pairs: 40, rate: 4 / 3 } }]];
    expect(overviewTable([report(paired)]).rows[0]![1]).toBe('100 / 0 / 10 / 80 % (133 %)');
  });

  it('shows jobs of all chips', () => {
    const job = { job: 'training', launches: 1, seconds: 0.02, arithmetic: 0, memory: 0, shaders: [] };
    const { head, rows } = jobOverviewTable([{ ...report([]), jobs: [{ ...job, ideal: 0.01 }] }]);
    expect([head[1], ...rows]).toEqual([`${chip.name}, ${chip.card}`, ['training', '20.00 ms (50 %)']]);
  });

  it('shows what moved', () => {
    const saved = (code: KernelCode, seconds: number) => [
      { chip: chip.name, kernels: { 'matmul_tiled ROWS=8': code }, jobs: [{ job: 'training', seconds }] },
    ];
    const before = saved({ ...good, hot }, 0.02);
    expect(comparison(before, saved({ ...good, hot }, 0.02))).toBeNull();
    expect(textTable(comparison(before, saved({ ...good, registers: 64 }, 0.01))!)).toContain(
      '100 / 0 / 10 / 80 % of 112, 0.13 + 1.00 B  64 / 0 / 10 / 89 % of 112, 0.13 + 1.00 B',
    );
    expect(comparison(before, saved({ ...good, hot }, 0.01))!.rows).toEqual([
      [chip.name, 'training', '20.00 ms', '10.00 ms'],
    ]);
  });
});

it('says what is missing, and how to get it', () => {
  expect(whatIsMissing(() => false)).toMatch(/apt-get install mesa-vulkan-drivers|needs Linux on x86-64/);
});
