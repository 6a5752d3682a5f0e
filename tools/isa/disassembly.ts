/**
 * Reads AMD machine code as text, in the two notations that RADV gives: LLVM's disassembly, and ACO's own
 * print of the program for chips that the installed LLVM does not know.
 */

export interface Instruction {
  /** In small letters, without LLVM's suffix for the encoding: `v_fmac_f32`. */
  name: string;
  /** The second operation of a dual-issued pair. */
  second?: string;
  /** The label of the block that a branch goes to. */
  target?: string;
}

export interface Block {
  label: string;
  instructions: Instruction[];
}

const LABEL = /^(BB\d+):?$/;
const DEFINITIONS = /^.*? = (?=[a-z])/;

/** The name that a line, or half of a dual-issued pair, begins with; in ACO's notation after what it defines. */
function nameIn(text: string): string | undefined {
  const body = text.includes('%') ? text.replace(DEFINITIONS, '') : text;
  const [, name] = /^([a-z][a-z0-9_]*)/.exec(body.trim()) ?? [];
  return name?.replace(/_(e32|e64|dpp|sdwa|e64_dpp)$/, '');
}

function readInstruction(line: string): Instruction | undefined {
  const [name, second] = line.replace(/;.*/, '').trim().split('::').map(nameIn);
  if (name === undefined) return undefined;
  const [, target] = /\b(?:block:)?(BB\d+)\s*$/.exec(line.replace(/;.*/, '')) ?? [];
  return { name, ...(second !== undefined && { second }), ...(target !== undefined && { target }) };
}

/** The blocks of a program, in the order of their code. */
export function parseDisassembly(text: string): Block[] {
  const blocks: Block[] = [];
  for (const line of text.split('\n')) {
    const [, label] = LABEL.exec(line.trim()) ?? [];
    if (label !== undefined) {
      blocks.push({ label, instructions: [] });
      continue;
    }
    const indented = /^\s/.test(line);
    const instruction = indented ? readInstruction(line) : undefined;
    if (instruction !== undefined) blocks.at(-1)?.instructions.push(instruction);
  }
  return blocks;
}

/** A loop: the blocks from its head to its last jump back. */
export interface Loop {
  first: number;
  last: number;
}

/** Loops by their jumps back; jumps to the same head are of one loop. */
export function findLoops(blocks: readonly Block[]): Loop[] {
  const at = new Map(blocks.map(({ label }, i) => [label, i]));
  const ends = new Map<number, number>();
  for (const [i, { instructions }] of blocks.entries()) {
    for (const { target } of instructions) {
      const first = target === undefined ? undefined : at.get(target);
      if (first !== undefined && first <= i) ends.set(first, Math.max(ends.get(first) ?? 0, i));
    }
  }
  return [...ends].map(([first, last]) => ({ first, last }));
}

/** The loops that have no other loop within. */
export function innermostLoops(loops: readonly Loop[]): Loop[] {
  return loops.filter(
    (outer) =>
      !loops.some((other) => other !== outer && other.first >= outer.first && other.last <= outer.last),
  );
}
