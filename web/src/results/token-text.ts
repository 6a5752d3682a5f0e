/** A text whose tokens are marked by what they give to an output. */
import type { Explanation } from '../inspect/inspector.ts';
import { h } from '../parts/dom.ts';
import { headRow, namedRow, scrolling } from './loading.ts';
import { formatSigned, type SignWords, tintOf, told, type WeighedPiece, weighedPieces } from './shares.ts';

/** Pieces of either sign that the sentence below the text names. */
const NAMED = 3;

export function tokenText(
  { tokens, shares, cut }: Explanation,
  texts: readonly string[],
  words: SignWords,
): HTMLElement[] {
  const pieces = weighedPieces(tokens, texts, shares);
  const second = pieces.findIndex(({ part }) => part === 1);
  return [
    h(
      'p',
      { class: 'token-text' },
      ...pieces.flatMap((piece, at) => [...(at === second ? [h('br')] : []), pieceView(piece, words)]),
    ),
    h('p', { class: 'hint' }, told(pieces, words, NAMED)),
    ...(cut ? [h('p', { class: 'hint' }, 'The end was cut off: the model takes no more tokens.')] : []),
    h(
      'p',
      { class: 'legend' },
      h('span', { class: 'piece plus', style: '--tint: 30%' }, words.plus.word),
      h('span', { class: 'piece minus', style: '--tint: 30%' }, words.minus.word),
      h('span', { class: 'hint' }, 'gradient × embedding: a first estimate, not a cause'),
    ),
    h(
      'details',
      {},
      h('summary', {}, 'Each token in numbers'),
      scrolling('Each token in numbers', numbers(pieces, tokens)),
    ),
  ];
}

function pieceView(piece: WeighedPiece, words: SignWords): Node {
  const { text, share, part } = piece;
  if (share === null) return document.createTextNode(text);
  const { side, percent } = tintOf(piece);
  const said = `${formatSigned(share)}, ${(share < 0 ? words.minus : words.plus).word}`;
  return h(
    'span',
    {
      class: ['piece', side, part === null && 'special'].filter(Boolean).join(' '),
      style: `--tint: ${percent}%`,
      title: said,
    },
    text,
  );
}

function numbers(pieces: readonly WeighedPiece[], tokens: Explanation['tokens']): HTMLElement {
  const own = pieces.filter(({ share }) => share !== null);
  return h(
    'table',
    { class: 'numbers' },
    h('caption', { class: 'hidden' }, 'The share of each token'),
    h('thead', {}, headRow(['Text', 'Token', 'Share'])),
    h(
      'tbody',
      {},
      ...own.map(({ text, tokens: numbers, share }) =>
        namedRow(text, [numbers.map((at) => tokens[at]!.name).join(' '), formatSigned(share!)]),
      ),
    ),
  );
}
