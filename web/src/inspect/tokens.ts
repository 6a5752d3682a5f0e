/** The tokens of a text, and the pieces of the text that they stand for. */
import type { Encoding } from 'dawngrad';

export interface Token {
  /** As in the vocabulary. */
  name: string;
  /** The text that it comes from: 0, or 1 for a pair's second; null for a special token. */
  part: 0 | 1 | null;
  /** [start, end) in that text, in UTF-16 units. */
  start: number;
  end: number;
}

/** The tokens of an encoding by their names. */
export function tokensOf(
  { inputIds, offsets, sequenceIds }: Encoding,
  nameOf: (id: number) => string | null,
): Token[] {
  return inputIds.map((id, at) => {
    const [start, end] = offsets[at]!;
    return { name: nameOf(id) ?? `${id}`, part: sequenceIds[at] as Token['part'], start, end };
  });
}

/** A piece of a text: of one token, of tokens that share characters, or of none. */
export interface Piece {
  text: string;
  /** Numbers of the tokens; empty for what is between them, which may be spaces or what the model does not see. */
  tokens: readonly number[];
  part: Token['part'];
}

/**
 * Cuts the texts into pieces by their tokens: every character is in one piece, in order; special tokens, and
 * tokens without characters, are pieces of their own. The bytes of one character may be several tokens, which
 * share a piece.
 */
export function piecesOf(tokens: readonly Token[], texts: readonly string[]): Piece[] {
  const pieces: { text: string; tokens: number[]; part: Token['part'] }[] = [];
  const done = texts.map(() => 0);
  const finish = (part: 0 | 1, to: number) => {
    const text = texts[part]!.slice(done[part]!, to);
    if (text !== '') pieces.push({ text, tokens: [], part });
    done[part] = Math.max(done[part]!, to);
  };
  let last: 0 | 1 | null = null;
  const close = () => {
    if (last !== null) finish(last, texts[last]!.length);
    last = null;
  };
  for (const [at, { name, part, start, end }] of tokens.entries()) {
    if (part === null) {
      close();
      pieces.push({ text: name, tokens: [at], part });
      continue;
    }
    if (part !== last) close();
    last = part;
    const shared = start < done[part]! ? pieces.at(-1) : undefined;
    if (shared !== undefined && shared.tokens.length > 0 && shared.part === part) {
      shared.text += texts[part]!.slice(done[part]!, end);
      shared.tokens.push(at);
      done[part] = Math.max(done[part]!, end);
      continue;
    }
    finish(part, start);
    pieces.push({ text: texts[part]!.slice(start, end), tokens: [at], part });
    done[part] = Math.max(done[part]!, end);
  }
  close();
  return pieces;
}
