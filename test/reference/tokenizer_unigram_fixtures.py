"""Writes what transformers' XLM-RoBERTa, CamemBERT and ALBERT tokenizers make of the 1,000 strings, to fixtures/tokenizers/.

    python test/reference/tokenizer_unigram_fixtures.py [file with another table, as precompiled_table.py prints it] [folder to write to]

A small Unigram vocabulary is trained on the strings and kept in each model's order of special tokens; of the ids, offsets
and words there is a hash for each string.
"""

import base64
import json
import sys
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer
from unicode_fixtures import fnv_bytes, utf16

HERE = Path(__file__).parent
TABLE = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "precompiled.b64"
OUT = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE / "fixtures" / "tokenizers"
SPECIAL = {"xlm-roberta": ["<s>", "<pad>", "</s>", "<unk>"],
           "albert": ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
           "camembert": ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"]}


def split():
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])


def trained(texts, normalizer):
    """Pieces with rounded scores, best first: what is left of the trainer's order by chance. Rare characters stay unknown."""
    often = {c for c, n in Counter("".join(texts)).items() if n > 20} - {"<"}
    texts = ["".join(c if c in often else " " for c in text) for text in texts]
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer = normalizer, split()
    t.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=900, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False))
    pieces = json.loads(t.to_str())["model"]["vocab"]
    return sorted(([p, round(s, 1)] for p, s in pieces if p != "<unk>"), key=lambda p: (-p[1], p[0]))


def folder(model, pieces, normalizer):
    """A tokenizer's folder as the hub has it."""
    place = OUT / model
    place.mkdir(exist_ok=True)
    vocab = [*((s, 0.0) for s in SPECIAL[model]), *(tuple(p) for p in pieces if p[0] not in SPECIAL[model]), *(() if "[MASK]" in SPECIAL[model] else [("<mask>", 0.0)])]
    t = Tokenizer(models.Unigram(vocab, unk_id=SPECIAL[model].index("<unk>")))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, split(), decoders.Metaspace()
    (place / "tokenizer.json").write_text(json.dumps(json.loads(t.to_str()), separators=(",", ":")))
    (place / "tokenizer_config.json").write_text(json.dumps(dict(model_max_length=512)))
    (place / "config.json").write_text(json.dumps(dict(model_type=model)))
    return AutoTokenizer.from_pretrained(place)


def hashed(row):
    return fnv_bytes(json.dumps(row, separators=(",", ":")).encode())


def outcomes(t, texts, pairs):
    singles = []
    for text in texts:
        e, at = t(text, return_offsets_mapping=True), utf16(text)
        singles.append(hashed([e["input_ids"], [at[i] for pair in e["offset_mapping"] for i in pair], e.word_ids()]))
    joined = [hashed(t(texts[a], texts[b], truncation=True, max_length=limit)["input_ids"]) for a, b, limit in pairs]
    return dict(singles=singles, pairs=joined)


if __name__ == "__main__":
    strings = json.loads((HERE / "fixtures" / "tokenizers" / "strings.json").read_text())
    texts, pairs = strings["texts"], strings["pairs"]
    normalizer = normalizers.Precompiled(base64.b64decode(TABLE.read_text()))
    pieces = trained(texts, normalizer)
    made = {model: outcomes(folder(model, pieces, normalizer), texts, pairs) for model in SPECIAL}
    (OUT / "unigram.json").write_text(json.dumps(made, separators=(",", ":")))
