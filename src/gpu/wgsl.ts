/**
 * The small preprocessor that turns a file of `shaders/` into one variant of WGSL.
 *
 *   #include <common/erf>          the text of another shader file, if no line before included it
 *   #if NAME / #if !NAME / #if NAME == value / #else / #endif
 *   #for i in A..B / #end          the body once for each integer A ≤ i < B
 *   #for x in q k v / #end         the body once for each name
 *   #each i in A..B | E / #end     as #for; if ROLLED is true, a WGSL loop from A to before E instead. E must
 *                                  hide the value of B from compilers, which would unroll the loop again
 *   #let NAME = A                  an integer, up to the end of the block
 *   #let NAME = "q k v"            a text, up to the end of the block
 *   enable …;                      moved to the top, once
 *   ${expression}                  integer arithmetic over names, or the text of one name; in the condition of
 *                                  an #if and in the list of a #for over names, too
 *
 * Loops over integers unroll register tiles: WGSL cannot index registers, and software adapters keep indexed
 * private arrays in memory.
 */
import { cached } from '../cached.ts';
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

/** Of adapters whose subgroups have a single size, or sizes that nothing can choose. */
const NO_PINS: Defines = { PINNED: false, PINNED_TILES: false };

const ENABLE = /^\s*enable\s+\w+;/;
const DIRECTIVE = /^\s*#(include|if|for|each|let)\s+(.*?)\s*$/;
const LOOP = /^\s*#(for|each) (\w+) in (.+?)\s*$/;
const RANGE = /^(.+?)\.\.(.+?)(?: \| (.+))?$/;
const NAMES = /^\s*\w+(\s+\w+)*\s*$/;

interface Block {
  lines: string[];
  next: number;
}

/** The value of an expression, given the values of names. */
type Evaluate = (numberOf: (name: string) => number) => number;

/** Expressions by their text, read once because a loop's body is expanded many times; null if unreadable. */
const expressions = new Map<string, Evaluate | null>();

/** Integer arithmetic with + - * / % and parentheses; division truncates. */
function readExpression(text: string): Evaluate | null {
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
  const chain = (next: () => Evaluate | null, signs: string): Evaluate | null => {
    let value = next();
    while (value !== null && at < tokens.length && signs.includes(tokens[at]!)) {
      const [operate, left, right] = [operators[tokens[at++]!]!, value, next()];
      value = right === null ? null : (numberOf) => operate(left(numberOf), right(numberOf));
    }
    return value;
  };
  const product = (): Evaluate | null => chain(factor, '*/%');
  const sum = (): Evaluate | null => chain(product, '+-');
  return sum();
}

const operators: Readonly<Record<string, (left: number, right: number) => number>> = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => Math.trunc(left / right),
  '%': (left, right) => left % right,
};

/** Lines as `cut` gives them. */
const cutLines = new Map<string, readonly string[]>();

/** A line cut at its `${…}`: text at even places, expressions at odd ones. */
function cut(line: string): readonly string[] {
  return line.split(/\$\{([^}]+)\}/).map((part, i) => (i % 2 === 0 ? part : part.trim()));
}

class Assembler {
  private readonly included = new Set<string>();
  private readonly shader: string;
  /** Values of the names known at this line: defines, and those that the blocks around it add. */
  private readonly scope: Map<string, number | boolean | string>;
  private readonly sources: Readonly<Record<string, string>>;

  constructor(shader: string, defines: Defines, sources: Readonly<Record<string, string>>) {
    this.shader = shader;
    this.scope = new Map(Object.entries({ ...NO_PINS, ...defines }));
    this.sources = sources;
  }

  run(): string {
    const expanded = this.expand(this.include(this.shader));
    // WGSL wants these before everything else, and included files bring their own.
    const enables = new Set(expanded.filter((line) => ENABLE.test(line)));
    return [...enables, ...expanded.filter((line) => !ENABLE.test(line))].join('\n');
  }

  private fail(message: string): never {
    throw new GpuError(`shader ${this.shader}: ${message}`);
  }

  /** The lines of a file; none if they are there already. */
  private include(name: string): readonly string[] {
    if (this.included.has(name)) return [];
    this.included.add(name);
    return this.sources[name]?.split('\n') ?? this.fail(`no file shaders/${name}.wgsl`);
  }

  /** Runs `body` while a name has a value. */
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
      const directive = line.includes('#') ? DIRECTIVE.exec(line) : null;
      const [, word, rest = ''] = directive ?? [];
      if (word === undefined) {
        out.push(this.substitute(line));
        at += 1;
      } else if (word === 'include') {
        this.expand(this.include(rest.slice(1, -1)), out);
        at += 1;
      } else if (word === 'let') {
        const [, name, value] = /^(\w+) = (.+)$/.exec(rest) ?? this.unreadable(line);
        this.within(name!, this.valueOf(value!), () => this.expand(lines.slice(at + 1), out));
        at = lines.length;
      } else if (word === 'if') {
        const yes = this.block(lines, at + 1, ['else', 'endif']);
        const hasElse = /^\s*#else/.test(lines[yes.next - 1]!);
        const no = hasElse ? this.block(lines, yes.next, ['endif']) : { lines: [], next: yes.next };
        this.expand(this.holds(this.substitute(rest)) ? yes.lines : no.lines, out);
        at = no.next;
      } else {
        const body = this.block(lines, at + 1, ['end']);
        this.loop(line, body.lines, out);
        at = body.next;
      }
    }
    return out;
  }

  /** Expands the body of a `#for` or `#each`. */
  private loop(line: string, body: readonly string[], out: string[]): void {
    const [, word, name, values] = LOOP.exec(line) ?? this.unreadable(line);
    const [, from, to, hidden] = RANGE.exec(values!) ?? [];
    if ((word === 'each') !== (hidden !== undefined)) this.unreadable(line);
    if (hidden !== undefined && this.holds('ROLLED')) {
      out.push(`for (var ${name} = ${this.integer(from!)}u; ${name} < ${hidden}; ${name} += 1u) {`);
      this.within(name!, name!, () => this.expand(body, out));
      out.push('}');
      return;
    }
    for (const value of to === undefined ? this.names(values!) : this.integers(from!, to))
      this.within(name!, value, () => this.expand(body, out));
  }

  private integers(from: string, to: string): number[] {
    const [first, end] = [this.integer(from), this.integer(to)];
    return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
  }

  private names(list: string): string[] {
    const text = this.substitute(list);
    return NAMES.test(text) ? text.trim().split(/\s+/) : this.fail(`cannot read the names '${text}'`);
  }

  /** The value that a `#let` gives its name. */
  private valueOf(value: string): number | string {
    return /^"(.*)"$/.exec(value)?.[1] ?? this.integer(value);
  }

  private unreadable(line: string): never {
    return this.fail(`cannot read '${line.trim()}'`);
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
    return cached(cutLines, line, () => cut(line))
      .map((part, i) => (i % 2 === 0 ? part : this.textOf(part)))
      .join('');
  }

  private textOf(expression: string): string {
    if (/^[A-Za-z_]\w*$/.test(expression)) return String(this.lookup(expression));
    return String(this.integer(expression));
  }

  private integer(expression: string): number {
    const evaluate =
      cached(expressions, expression, () => readExpression(expression)) ??
      this.fail(`cannot read '${expression}'`);
    return evaluate((name) => {
      const value = Number(this.lookup(name));
      return Number.isInteger(value) ? value : this.fail(`'${name}' in '${expression}' is not an integer`);
    });
  }
}
