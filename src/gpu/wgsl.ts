/**
 * The small preprocessor that turns a file of `shaders/` into one variant of WGSL.
 *
 *   #include <common/erf>          the text of another shader file, once
 *   #if NAME / #if !NAME / #if NAME == value / #else / #endif
 *   #for i in A..B / #end          the body once for each integer A ≤ i < B
 *   #each i in A..B | E / #end     the same; if ROLLED is true, a loop of WGSL from A to before E, of which
 *                                  compilers must not see that it is B: they would unroll the loop again
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

/** The value of an expression, given what names stand for. */
type Evaluate = (numberOf: (name: string) => number) => number;

/** An expression read once: a loop's body is expanded again and again. Null where it cannot be read. */
const expressions = new Map<string, Evaluate | null>();

/** Integer arithmetic with + - * / % and parentheses; division truncates. */
function readExpression(text: string): Evaluate | null {
  const known = expressions.get(text);
  if (known !== undefined) return known;
  const tokens = text.match(/\w+|[-+*/%()]/g) ?? [];
  let at = 0;
  const factor = (): Evaluate | null => {
    const token = tokens[at++];
    if (token === undefined) return null;
    if (token === '(') {
      const value = sum();
      at += 1;
      return value;
    }
    if (!/^\d/.test(token)) return (numberOf) => numberOf(token);
    const value = Number(token);
    return Number.isInteger(value) ? () => value : null;
  };
  const chain = (next: () => Evaluate | null, operators: string): Evaluate | null => {
    let value = next();
    while (value !== null && at < tokens.length && operators.includes(tokens[at]!)) {
      const [operator, left, right] = [tokens[at++]!, value, next()];
      value = right === null ? null : (numberOf) => calculate(operator, left(numberOf), right(numberOf));
    }
    return value;
  };
  const product = (): Evaluate | null => chain(factor, '*/%');
  const sum = (): Evaluate | null => chain(product, '+-');
  const made = sum();
  expressions.set(text, made);
  return made;
}

function calculate(operator: string, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return Math.trunc(left / right);
    default:
      return left % right;
  }
}

/** A line cut at its `${…}`: text at even places, expressions at odd ones. */
const cutLines = new Map<string, readonly string[]>();

function cut(line: string): readonly string[] {
  const known = cutLines.get(line);
  if (known !== undefined) return known;
  const parts = line.split(/\$\{([^}]+)\}/).map((part, i) => (i % 2 === 0 ? part : part.trim()));
  cutLines.set(line, parts);
  return parts;
}

class Assembler {
  private readonly included = new Set<string>();
  private readonly shader: string;
  /** What names stand for here: defines, and what the blocks around this line add. */
  private readonly scope: Map<string, number | boolean | string>;
  private readonly sources: Readonly<Record<string, string>>;

  constructor(shader: string, defines: Defines, sources: Readonly<Record<string, string>>) {
    this.shader = shader;
    this.scope = new Map(Object.entries(defines));
    this.sources = sources;
  }

  run(): string {
    const lines = this.include(this.shader);
    const expanded = this.expand(lines);
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

  private roll(name: string, first: number, end: string, body: readonly string[], out: string[]): void {
    out.push(`for (var ${name} = ${first}u; ${name} < ${end}; ${name} += 1u) {`);
    this.within(name, name, () => this.expand(body, out));
    out.push('}');
  }

  /** Runs `body` with a name that stands for a value, and then for what it stood for before. */
  private within(name: string, value: number | string, body: () => void): void {
    const before = this.scope.get(name);
    this.scope.set(name, value);
    body();
    if (before === undefined) this.scope.delete(name);
    else this.scope.set(name, before);
  }

  private expand(lines: readonly string[], out: string[] = []): string[] {
    for (let at = 0; at < lines.length; ) {
      const line = lines[at]!;
      const directive = line.includes('#') ? /^\s*#(if|for|each|let)\s+(.*?)\s*$/.exec(line) : null;
      if (directive === null) {
        out.push(this.substitute(line));
        at += 1;
      } else if (directive[1] === 'let') {
        const match = /^(\w+) = (.+)$/.exec(directive[2]!);
        if (match === null) this.fail(`cannot read '#let ${directive[2]}'`);
        const rest = lines.slice(at + 1);
        this.within(match[1]!, this.integer(match[2]!), () => this.expand(rest, out));
        at = lines.length;
      } else if (directive[1] === 'if') {
        const yes = this.block(lines, at + 1, ['else', 'endif']);
        const hasElse = /^\s*#else/.test(lines[yes.next - 1]!);
        const no = hasElse ? this.block(lines, yes.next, ['endif']) : { lines: [], next: yes.next };
        this.expand(this.holds(directive[2]!) ? yes.lines : no.lines, out);
        at = no.next;
      } else {
        const body = this.block(lines, at + 1, ['end']);
        const [loop, hidden] = directive[1] === 'each' ? directive[2]!.split(' | ') : [directive[2]!];
        const match = /^(\w+) in (.+?)\.\.(.+)$/.exec(loop!);
        if (match === null || (directive[1] === 'each' && hidden === undefined))
          this.fail(`cannot read '#${directive[1]} ${directive[2]}'`);
        const end = this.integer(match[3]!);
        if (hidden !== undefined && this.holds('ROLLED'))
          this.roll(match[1]!, this.integer(match[2]!), hidden, body.lines, out);
        else
          for (let value = this.integer(match[2]!); value < end; value += 1)
            this.within(match[1]!, value, () => this.expand(body.lines, out));
        at = body.next;
      }
    }
    return out;
  }

  /** The lines up to the matching closer; `next` is the line after it. */
  private block(lines: readonly string[], start: number, closers: string[]): Block {
    let depth = 0;
    for (let at = start; at < lines.length; at += 1) {
      const word = lines[at]!.includes('#') ? /^\s*#(\w+)/.exec(lines[at]!)?.[1] : undefined;
      if (word === undefined) continue;
      if (depth === 0 && closers.includes(word)) return { lines: lines.slice(start, at), next: at + 1 };
      if (word === 'if' || word === 'for' || word === 'each') depth += 1;
      if (word === 'endif' || word === 'end') depth -= 1;
    }
    return this.fail(`a block is not closed by #${closers.join(' or #')}`);
  }

  private holds(condition: string): boolean {
    const equals = /^(\w+)\s*==\s*(\w+)$/.exec(condition);
    if (equals !== null) return String(this.lookup(equals[1]!)) === equals[2];
    const not = condition.startsWith('!');
    const value = Boolean(this.lookup(not ? condition.slice(1) : condition));
    return not ? !value : value;
  }

  private lookup(name: string): number | boolean | string {
    return this.scope.get(name) ?? this.fail(`'${name}' is not defined for this variant`);
  }

  private substitute(line: string): string {
    if (!line.includes('${')) return line;
    return cut(line)
      .map((part, i) => (i % 2 === 0 ? part : this.textOf(part)))
      .join('');
  }

  private textOf(expression: string): string {
    if (/^[A-Za-z_]\w*$/.test(expression)) return String(this.lookup(expression));
    return String(this.integer(expression));
  }

  private integer(expression: string): number {
    const evaluate = readExpression(expression) ?? this.fail(`cannot read '${expression}'`);
    return evaluate((name) => {
      const value = Number(this.lookup(name));
      return Number.isInteger(value) ? value : this.fail(`'${name}' in '${expression}' is not an integer`);
    });
  }
}
