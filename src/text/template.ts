/** The post-processors of tokenizer.json: place special tokens around texts, and trim offsets. */
import { type Fields, isTokenId, shown } from './json-fields.ts';

export type TemplatePiece =
  | { kind: 'special'; id: number; type: number }
  | { kind: 'text'; which: 0 | 1; type: number };

export interface Template {
  single: TemplatePiece[];
  pair: TemplatePiece[];
  /** Each entry trims leading and trailing spaces of byte-level tokens from their offsets. */
  trims: Trim[];
}

export interface Trim {
  /** Do not trim the space that was put before a text. */
  addPrefixSpace: boolean;
}

const TEXT_ONLY: Template = {
  single: [{ kind: 'text', which: 0, type: 0 }],
  pair: [
    { kind: 'text', which: 0, type: 0 },
    { kind: 'text', which: 1, type: 1 },
  ],
  trims: [],
};

/** Throws `TokenizerError` for an unknown kind or an invalid value. */
export function readTemplate(fields: Fields | null): Template {
  return fields === null ? TEXT_ONLY : fields.kind(READERS, 'post-processor')(fields);
}

const READERS: Record<string, (fields: Fields) => Template> = {
  TemplateProcessing: templateProcessing,
  BertProcessing: (fields) => classicProcessing(fields, false),
  RobertaProcessing: (fields) => classicProcessing(fields, true),
  ByteLevel: (fields) => ({ ...TEXT_ONLY, trims: trimsOf(fields) }),
  Sequence: sequence,
};

function trimsOf(fields: Fields): Trim[] {
  const addPrefixSpace = fields.boolean('add_prefix_space', true);
  return fields.boolean('trim_offsets', true) ? [{ addPrefixSpace }] : [];
}

/** Combines post-processors. At most one may add special tokens; with two, Python's tokenizers fails too. */
function sequence(fields: Fields): Template {
  const parts = fields.objects('processors').map(readTemplate);
  const [around, ...more] = parts.filter(({ single }) => single !== TEXT_ONLY.single);
  if (more.length > 0) fields.fail('processors', 'put special tokens around the text more than once');
  return { ...(around ?? TEXT_ONLY), trims: parts.flatMap(({ trims }) => trims) };
}

function templateProcessing(fields: Fields): Template {
  const read = (key: string, texts: 'A' | 'AB'): TemplatePiece[] =>
    fields.objects(key).flatMap((piece): TemplatePiece[] => {
      const text = piece.optionalObject('Sequence');
      if (text !== null) {
        const which = text.choice('id', ['A', 'B'] as const);
        if (!texts.includes(which)) text.fail('id', `is '${which}', and there is one text`);
        return [{ kind: 'text', which: which === 'A' ? 0 : 1, type: text.count('type_id') }];
      }
      const token = piece.object('SpecialToken');
      const type = token.count('type_id');
      return specialIds(fields, token.string('id')).map((id) => ({ kind: 'special', id, type }));
    });
  return { single: read('single', 'A'), pair: read('pair', 'AB'), trims: [] };
}

function specialIds(fields: Fields, name: string): number[] {
  const token = fields.object('special_tokens').object(name);
  return token
    .list('ids')
    .map((id, i) => (isTokenId(id) ? id : token.fail(`ids[${i}]`, `is ${shown(id)}, not an id`)));
}

/** BERT: [CLS] A [SEP] B [SEP] with token types; RoBERTa: <s> A </s></s> B </s>, all of type 0. */
function classicProcessing(fields: Fields, roberta: boolean): Template {
  const idOf = (key: string): number => {
    const id = fields.list(key)[1];
    return isTokenId(id) ? id : fields.fail(`${key}[1]`, `is ${shown(id)}, not an id`);
  };
  const special = (id: number, type: number): TemplatePiece => ({ kind: 'special', id, type });
  const [cls, sep] = [idOf('cls'), idOf('sep')];
  const second = roberta ? 0 : 1;
  const single: TemplatePiece[] = [special(cls, 0), { kind: 'text', which: 0, type: 0 }, special(sep, 0)];
  const between = roberta ? [special(sep, 0)] : [];
  return {
    single,
    pair: [...single, ...between, { kind: 'text', which: 1, type: second }, special(sep, second)],
    trims: roberta ? trimsOf(fields) : [],
  };
}
