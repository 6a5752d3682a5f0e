/**
 * The small preprocessor that turns a file of `shaders/` into one variant of WGSL.
 *
 *   #include <common/erf>          the text of another shader file, once
 *   #if NAME / #if !NAME / #if NAME == value / #else / #endif
 *   #for i in A..B / #end          the body once for each integer A ≤ i < B
 *   #let NAME = A                  an integer, up to the end of the block
 *   enable …;                      moved to the top, once
 *   ${expression}                  integer arithmetic over loop variables and defines, or a define's text
 *
 * Loops exist so that register tiles are unrolled by name: WGSL cannot index registers, and software
 * adapters keep indexed private arrays in memory.
 */
import { GpuError } from '../errors.ts';
import { shaderSources } from './shaders.generated.ts';

export type Defines = Readonly<Record<string, number | boolean | string>>;

/** Throws `GpuError` naming the shader for an unknown file, an unknown name or an unclosed block. */
export function assembleShader(
  name: string,
  defines: Defines,
  sources: Readonly<Record<string, string>> = shaderSources,
): string {
  return new Assembler(name, defines, sources).run();
}

const ENABLE = /^\s*enable\s+\w+;/;

interface Block {
  lines: string[];
  next: number;
}

class Assembler {
  private readonly included = new Set<string>();
  private readonly shader: string;
  private readonly defines: Defines;
  private readonly sources: Readonly<Record<string, string>>;

  constructor(shader: string, defines: Defines, sources: Readonly<Record<string, string>>) {
    this.shader = shader;
    this.defines = defines;
    this.sources = sources;
  }

  run(): string {
    const lines = this.include(this.shader);
    const expanded = this.expand(lines, { ...this.defines });
    // WGSL wants these before everything else, and fragments bring their own.
    const enables = new Set(expanded.filter((line) => ENABLE.test(line)));
    return [...enables, ...expanded.filter((line) => !ENABLE.test(line))].join('\n');
  }

  private fail(message: string): never {
    throw new GpuError(`shader ${this.shader}: ${message}`);
  }

  private include(name: string): string[] {
    if (this.included.has(name)) return [];
    this.included.add(name);
    const text = this.sources[name];
    if (text === undefined) this.fail(`no file shaders/${name}.wgsl`);
    return text.split('\n').flatMap((line) => {
      const target = /^\s*#include <(.+)>/.exec(line)?.[1];
      return target === undefined ? [line] : this.include(target);
    });
  }

  private expand(lines: string[], outer: Record<string, number | boolean | string>): string[] {
    const scope = { ...outer };
    const out: string[] = [];
    for (let at = 0; at < lines.length; ) {
      const line = lines[at]!;
      const directive = /^\s*#(if|for|let)\s+(.*?)\s*$/.exec(line);
      if (directive === null) {
        out.push(this.substitute(line, scope));
        at += 1;
      } else if (directive[1] === 'let') {
        const match = /^(\w+) = (.+)$/.exec(directive[2]!);
        if (match === null) this.fail(`cannot read '#let ${directive[2]}'`);
        scope[match[1]!] = this.integer(match[2]!, scope);
        at += 1;
      } else if (directive[1] === 'if') {
        const yes = this.block(lines, at + 1, ['else', 'endif']);
        const hasElse = /^\s*#else/.test(lines[yes.next - 1]!);
        const no = hasElse ? this.block(lines, yes.next, ['endif']) : { lines: [], next: yes.next };
        out.push(...this.expand(this.holds(directive[2]!, scope) ? yes.lines : no.lines, scope));
        at = no.next;
      } else {
        const body = this.block(lines, at + 1, ['end']);
        const match = /^(\w+) in (.+?)\.\.(.+)$/.exec(directive[2]!);
        if (match === null) this.fail(`cannot read '#for ${directive[2]}'`);
        const first = this.integer(match[2]!, scope);
        const end = this.integer(match[3]!, scope);
        for (let value = first; value < end; value += 1) {
          out.push(...this.expand(body.lines, { ...scope, [match[1]!]: value }));
        }
        at = body.next;
      }
    }
    return out;
  }

  /** The lines up to the matching closer; `next` is the line after it. */
  private block(lines: string[], start: number, closers: string[]): Block {
    let depth = 0;
    for (let at = start; at < lines.length; at += 1) {
      const word = /^\s*#(\w+)/.exec(lines[at]!)?.[1];
      if (word === undefined) continue;
      if (depth === 0 && closers.includes(word)) return { lines: lines.slice(start, at), next: at + 1 };
      if (word === 'if' || word === 'for') depth += 1;
      if (word === 'endif' || word === 'end') depth -= 1;
    }
    return this.fail(`a block is not closed by #${closers.join(' or #')}`);
  }

  private holds(condition: string, scope: Record<string, number | boolean | string>): boolean {
    const equals = /^(\w+)\s*==\s*(\w+)$/.exec(condition);
    if (equals !== null) return String(this.lookup(equals[1]!, scope)) === equals[2];
    const not = condition.startsWith('!');
    const value = Boolean(this.lookup(not ? condition.slice(1) : condition, scope));
    return not ? !value : value;
  }

  private lookup(name: string, scope: Record<string, number | boolean | string>): number | boolean | string {
    const value = scope[name];
    if (value === undefined) this.fail(`'${name}' is not defined for this variant`);
    return value;
  }

  private substitute(line: string, scope: Record<string, number | boolean | string>): string {
    return line.replace(/\$\{([^}]+)\}/g, (_, expression: string) => {
      const name = expression.trim();
      if (/^[A-Za-z_]\w*$/.test(name)) return String(this.lookup(name, scope));
      return String(this.integer(expression, scope));
    });
  }

  /** Integer arithmetic with + - * / % and parentheses; division truncates. */
  private integer(expression: string, scope: Record<string, number | boolean | string>): number {
    const tokens = expression.match(/\w+|[-+*/%()]/g) ?? [];
    let at = 0;
    const factor = (): number => {
      const token = tokens[at++];
      if (token === undefined) return this.fail(`cannot read '${expression}'`);
      if (token === '(') {
        const value = sum();
        at += 1;
        return value;
      }
      const value = /^\d/.test(token) ? Number(token) : Number(this.lookup(token, scope));
      return Number.isInteger(value) ? value : this.fail(`'${token}' in '${expression}' is not an integer`);
    };
    const product = (): number => {
      let value = factor();
      while (tokens[at] === '*' || tokens[at] === '/' || tokens[at] === '%') {
        const operator = tokens[at++];
        const right = factor();
        value =
          operator === '*' ? value * right : operator === '/' ? Math.trunc(value / right) : value % right;
      }
      return value;
    };
    const sum = (): number => {
      let value = product();
      while (tokens[at] === '+' || tokens[at] === '-') value += tokens[at++] === '+' ? product() : -product();
      return value;
    };
    return sum();
  }
}
