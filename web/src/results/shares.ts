/** What the shares of tokens mean for the pieces of a text that people read. */
import { type Piece, piecesOf, type Token } from '../inspect/tokens.ts';

export interface WeighedPiece extends Piece {
  /** Its part of all shares, from −1 to 1: for the output if positive; null for text without tokens. */
  share: number | null;
  /** From −1 to 1, 1 being the weightiest piece of the text. */
  strength: number;
}

/** The pieces of texts with the shares of their tokens. */
export function weighedPieces(
  tokens: readonly Token[],
  texts: readonly string[],
  shares: readonly number[],
): WeighedPiece[] {
  const pieces = piecesOf(tokens, texts);
  const sums = pieces.map(({ tokens: own }) => own.reduce((sum, at) => sum + shares[at]!, 0));
  const total = sums.reduce((sum, share) => sum + Math.abs(share), 0) || 1;
  const most = Math.max(...sums.map(Math.abs), 0) || 1;
  return pieces.map((piece, at) => ({
    ...piece,
    share: piece.tokens.length === 0 ? null : sums[at]! / total,
    strength: sums[at]! / most,
  }));
}

/** Words for a sign: of one token, and before those that have most of it. */
interface SideWords {
  word: string;
  most: string;
}

export interface SignWords {
  plus: SideWords;
  minus: SideWords;
}

/** Of classes and of values. */
export const signWords = (isValue: boolean): SignWords =>
  isValue
    ? {
        plus: { word: 'raises the value', most: 'what raises it most' },
        minus: { word: 'lowers the value', most: 'what lowers it most' },
      }
    : { plus: { word: 'for', most: 'most for it' }, minus: { word: 'against', most: 'most against it' } };

/** The weightiest pieces of either sign, `most` of each, in a sentence. */
export function told(pieces: readonly WeighedPiece[], { plus, minus }: SignWords, most: number): string {
  const side = (sign: 1 | -1, words: SideWords): string[] => {
    const found = weightiest(pieces, sign, most);
    const named = found.map(({ text, share }) => `${text.trim()} ${formatSigned(share!)}`);
    return found.length === 0 ? [] : [`${words.most}: ${named.join(', ')}`];
  };
  const sentence = [...side(1, plus), ...side(-1, minus)].join('; ');
  return sentence === '' ? 'No token stands out.' : `${sentence[0]!.toUpperCase()}${sentence.slice(1)}.`;
}

/** `+12 %`, `−3 %`. */
export const formatSigned = (share: number): string =>
  `${share < 0 ? '−' : '+'}${(100 * Math.abs(share)).toFixed(0)} %`;

/** The weightiest pieces of either sign, the weightiest first. */
function weightiest(pieces: readonly WeighedPiece[], sign: 1 | -1, most: number): WeighedPiece[] {
  return pieces
    .filter(({ share }) => share !== null && share * sign >= 0.005)
    .sort((a, b) => (b.share! - a.share!) * sign)
    .slice(0, most);
}

/** Beneath it, a piece is not coloured: it would only be noise for the eye. */
export const FAINT = 0.1;

/** How a piece is drawn: its side, and the share of colour in its background, in percent. */
export function tintOf({ share, strength }: WeighedPiece): {
  side: 'plus' | 'minus' | null;
  percent: number;
} {
  if (share === null || Math.abs(strength) < FAINT) return { side: null, percent: 0 };
  return { side: strength > 0 ? 'plus' : 'minus', percent: Math.round(45 * Math.abs(strength)) };
}
