/** Where special tokens go around one text or two. */
import { TokenizerError } from '../errors.ts';
import type { ComponentJson } from './tokenizer-json.ts';

export type TemplatePiece =
  | { kind: 'special'; id: number; type: number }
  | { kind: 'text'; which: 0 | 1; type: number };

export interface Template {
  single: TemplatePiece[];
  pair: TemplatePiece[];
  /** Leading and trailing spaces do not count in the offsets of byte-level tokens. */
  trimOffsets: boolean;
}

const TEXT_ONLY: Template = {
  single: [{ kind: 'text', which: 0, type: 0 }],
  pair: [
    { kind: 'text', which: 0, type: 0 },
    { kind: 'text', which: 1, type: 1 },
  ],
  trimOffsets: false,
};

type PieceJson = {
  SpecialToken?: { id: string; type_id: number };
  Sequence?: { id: string; type_id: number };
};

/** Reads a post-processor of tokenizer.json. Throws `TokenizerError` for a kind that is not known. */
export function parseTemplate(json: ComponentJson | null, source: string): Template {
  if (json === null) return TEXT_ONLY;
  switch (json.type) {
    case 'TemplateProcessing':
      return templateProcessing(json, source);
    case 'BertProcessing':
    case 'RobertaProcessing':
      return classicProcessing(json);
    case 'ByteLevel':
      return { ...TEXT_ONLY, trimOffsets: json.trim_offsets !== false };
    case 'Sequence': {
      const parts = (json.processors as ComponentJson[]).map((part) => parseTemplate(part, source));
      const main = parts.find((part) => part.single.length > 1) ?? parts[0] ?? TEXT_ONLY;
      return { ...main, trimOffsets: parts.some((part) => part.trimOffsets) };
    }
    default:
      throw new TokenizerError(`${source}: post-processor '${json.type}' is not supported`);
  }
}

function templateProcessing(json: ComponentJson, source: string): Template {
  const specials = json.special_tokens as Record<string, { ids: number[] }>;
  const read = (pieces: PieceJson[]): TemplatePiece[] =>
    pieces.flatMap((piece): TemplatePiece[] => {
      const { SpecialToken: token, Sequence: text } = piece;
      if (text !== undefined) return [{ kind: 'text', which: text.id === 'A' ? 0 : 1, type: text.type_id }];
      const ids = token === undefined ? undefined : specials[token.id]?.ids;
      if (token === undefined || ids === undefined)
        throw new TokenizerError(`${source}: the post-processor's template is damaged`);
      return ids.map((id) => ({ kind: 'special', id, type: token.type_id }));
    });
  return {
    single: read(json.single as PieceJson[]),
    pair: read(json.pair as PieceJson[]),
    trimOffsets: false,
  };
}

/** BERT: [CLS] A [SEP] B [SEP] with types; RoBERTa: <s> A </s></s> B </s>, all of type 0. */
function classicProcessing(json: ComponentJson): Template {
  const roberta = json.type === 'RobertaProcessing';
  const [cls, sep] = [(json.cls as [string, number])[1], (json.sep as [string, number])[1]];
  const second = roberta ? 0 : 1;
  const special = (id: number, type: number): TemplatePiece => ({ kind: 'special', id, type });
  const single: TemplatePiece[] = [special(cls, 0), { kind: 'text', which: 0, type: 0 }, special(sep, 0)];
  const between = roberta ? [special(sep, 0)] : [];
  return {
    single,
    pair: [...single, ...between, { kind: 'text', which: 1, type: second }, special(sep, second)],
    trimOffsets: roberta && json.trim_offsets !== false,
  };
}
