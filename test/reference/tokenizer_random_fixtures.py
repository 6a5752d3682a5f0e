"""Writes 250 folders of random settings with hashes of what transformers makes of texts, to fixtures/tokenizers/random.json.

    python test/reference/tokenizer_random_fixtures.py [count] [seed] [file]
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import tokenizer_parts_fixtures as parts
from tokenizers import processors
from transformers import AutoTokenizer
from transformers.utils import logging
from unicode_fixtures import fnv_bytes, utf16

logging.set_verbosity_error()
CONTENTS = ["newtok", "<ent>", "New", "the", "ab", "Tea", "é", "[MASK]", "<mask>", "a b", "river", "x", "New York", "[X]", " tea", "S"]
TEXTS = ["The river and New York tea.", "Tea <ent> x<ent>y  [MASK] <mask> NEW new york", "ab abc  newtok NEWTOK a b", "äé the Tea's [x] S s", "", "  x  [MASK]",
         "newtoken New Yorker é É e\u0301 TEA", "<s>the</s> [CLS] tea[SEP]"]
WORDS = "\n".join([*parts.BERT, *parts.WORDS]) + "\n"
VOCAB, PAIRS = parts.roberta_vocab()
MERGES = "#version: 0.2\n" + "\n".join(" ".join(p) for p in PAIRS) + "\n"


def token(rng, content, typed=False):
    flags = {k: rng.random() < 0.4 for k in ("single_word", "lstrip", "rstrip", "normalized", "special")}
    return dict(content=content, **flags, **(dict(__type="AddedToken") if typed else {}))


def numbered(rng, vocab, size, contents):
    """Contents with the ids that they have or get."""
    out, next_id = {}, size
    for content in contents:
        out[content] = vocab.get(content, next_id)
        next_id += content not in vocab
    return out


def folder(rng):
    kind = rng.choice(["bert", "bert", "rob", "bertjson", "robjson", "bertraw", "robraw"])
    bert = kind.startswith("bert")
    vocab, size = (parts.bert_vocab(), len(parts.BERT) + len(parts.WORDS)) if bert else (VOCAB, max(VOCAB.values()) + 1)
    chance = lambda p: rng.random() < p
    files, config = {"config.json": dict(model_type="bert" if bert else "roberta")}, {}
    if kind == "bert":
        files["vocab.txt"] = WORDS
    elif kind == "rob":
        files |= {"vocab.json": VOCAB, "merges.txt": MERGES}
    else:
        made = parts.bert_json() if bert else parts.roberta_json(chance(0.5))
        if chance(0.5):
            there = {t["content"] for t in made["added_tokens"]}
            contents = [c for c in rng.sample(CONTENTS, rng.randint(1, 4)) if c not in there]
            made["added_tokens"] += [dict(id=i, **token(rng, c)) for c, i in numbered(rng, vocab, size, contents).items()]
        if bert and chance(0.3):
            made["normalizer"] = rng.choice([None, {"type": "Lowercase"}, {"type": "NFD"}])
        if bert and chance(0.3):
            made["post_processor"] = rng.choice([None, json.loads(processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)).__getstate__())])
        files["tokenizer.json"] = made
    if kind.endswith("raw"):
        config["tokenizer_class"] = rng.choice(["PreTrainedTokenizerFast", "TokenizersBackend"])
    elif chance(0.3):
        config["tokenizer_class"] = ("BertTokenizer" if bert else "RobertaTokenizer") + rng.choice(["", "Fast"])
    settings = dict(do_lower_case=False, strip_accents=rng.choice([True, False]), tokenize_chinese_chars=False, add_prefix_space=True, trim_offsets=False, split_special_tokens=True, clean_up_tokenization_spaces=True,
                    model_max_length=9, truncation_side="left", padding_side="left", model_input_names=["input_ids", "token_type_ids", "attention_mask"])
    config |= {k: v for k, v in settings.items() if chance(0.2)}
    named = ["[MASK]", "[PAD]", "x", "a", "b", "<new>"] if bert else ["<mask>", "<pad>", "a", "b", "<new>"]
    for key in ("mask_token", "pad_token", "cls_token", "sep_token", "unk_token", "bos_token", "eos_token", "image_token"):
        if chance(0.12):
            content = rng.choice(named)
            config[key] = rng.choice([content, token(rng, content, True)])
    if chance(0.25):
        config[rng.choice(["extra_special_tokens", "additional_special_tokens"])] = [rng.choice([c, token(rng, c, True)]) for c in rng.sample(CONTENTS, rng.randint(0, 3))]
    if chance(0.1):
        config["extra_special_tokens"] = {"ent_token": rng.choice(CONTENTS)}
    if chance(0.25):
        config["added_tokens_decoder"] = {str(i): token(rng, c) for c, i in numbered(rng, vocab, size, rng.sample(CONTENTS, rng.randint(0, 4))).items()}
    if chance(0.2):
        files["added_tokens.json"] = numbered(rng, vocab, size, rng.sample(CONTENTS, rng.randint(1, 3)))
    if chance(0.25):
        tokens = {}
        for key in ("mask_token", "pad_token", "cls_token"):
            if chance(0.4):
                content = rng.choice([named[0], "a", "<new>"])
                tokens[key] = rng.choice([content, token(rng, content)])
        if chance(0.4):
            tokens[rng.choice(["extra_special_tokens", "additional_special_tokens"])] = rng.sample(CONTENTS, rng.randint(0, 2))
        files["special_tokens_map.json"] = tokens
    if config or chance(0.5):
        files["tokenizer_config.json"] = config
    return files


def outcome(files):
    """A hash for each text, then for a pair that is cut; None where Python refuses."""
    with tempfile.TemporaryDirectory() as place:
        for file, content in files.items():
            (Path(place) / file).write_text(content if isinstance(content, str) else json.dumps(content))
        try:
            t = AutoTokenizer.from_pretrained(place)
            rows = []
            for text in TEXTS:
                e, at = t(text, return_offsets_mapping=True), utf16(text)
                ids = e["input_ids"]
                rows.append([ids, [at[i] for pair in e["offset_mapping"] for i in pair], t.decode(ids), t.decode(ids, skip_special_tokens=True)])
            e = t(TEXTS[0], TEXTS[2], truncation=True, max_length=10, return_token_type_ids=True)
            types = e["token_type_ids"] if "token_type_ids" in t.model_input_names else [0] * len(e["input_ids"])
            rows.append([e["input_ids"], types, len(t)])
        except Exception:
            return None
    return [fnv_bytes(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()) for row in rows]


if __name__ == "__main__":
    count, seed = (int(x) for x in (sys.argv[1:3] or (250, 2026)))
    rng = random.Random(seed)
    contents, rows = [], []
    while len(rows) < count:
        files = folder(rng)
        hashes = outcome(files)
        if hashes is None:
            continue
        for content in files.values():
            if content not in contents:
                contents.append(content)
        rows.append([{file: contents.index(content) for file, content in files.items()}, hashes])
    out = Path(sys.argv[3]) if len(sys.argv) > 3 else parts.OUT / "random.json"
    out.write_text(json.dumps(dict(texts=TEXTS, contents=contents, folders=rows), ensure_ascii=False, separators=(",", ":")))
