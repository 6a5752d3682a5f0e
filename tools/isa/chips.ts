/** The chips that are compiled for, and how fast a card with each is at most. */

export interface Chip {
  /** As RADV's `RADV_FORCE_FAMILY` names it. */
  name: string;
  architecture: string;
  /** A card that has it. */
  card: string;
  computeUnits: number;
  /** Boost clock, Hz. */
  clock: number;
  /** Bytes a second from memory. */
  bandwidth: number;
  /** Vector registers of 32 lanes that a SIMD unit has. */
  registers: number;
  /** Multiply-adds that a SIMD unit makes in one cycle on float16 matrices; 0 where it has no such unit. */
  matrixMultiplyAdds: number;
}

/** SIMD units of one compute unit of RDNA. */
export const SIMD_UNITS = 2;

export const chips: readonly Chip[] = [
  {
    name: 'navi21',
    architecture: 'RDNA 2',
    card: 'RX 6900 XT',
    computeUnits: 80,
    clock: 2.25e9,
    bandwidth: 512e9,
    registers: 1024,
    matrixMultiplyAdds: 0,
  },
  {
    name: 'navi31',
    architecture: 'RDNA 3',
    card: 'RX 7900 XTX',
    computeUnits: 96,
    clock: 2.5e9,
    bandwidth: 960e9,
    registers: 1536,
    matrixMultiplyAdds: 128,
  },
  {
    name: 'gfx1200',
    architecture: 'RDNA 4',
    card: 'RX 9060 XT',
    computeUnits: 32,
    clock: 3.13e9,
    bandwidth: 322e9,
    registers: 1536,
    matrixMultiplyAdds: 256,
  },
];

/** Cycles of all SIMD units in a second. */
export function cyclesASecond({ computeUnits, clock }: Chip): number {
  return SIMD_UNITS * computeUnits * clock;
}
