"""Writes how Python's tokenizers class every code point, and hashes of what it makes of 10,000 generated strings, to fixtures/unicode/.

    python test/reference/unicode_fixtures.py
"""

import json
import struct
import unicodedata
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers
from transformers import BertTokenizer, RobertaTokenizer
from unicode_strings import strings

HERE = Path(__file__).parent / "fixtures"
OUT = HERE / "unicode"
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
COUNT, SEED = 10_000, 2026


def ranges(points):
    """Code points as lengths, in turn out and in: [gap, run, gap, run, ...]."""
    out, at = [], 0
    for c in points:
        if out and c == at:
            out[-1] += 1
        else:
            out += [c - at, 1]
        at = c + 1
    return out


def fnv(numbers):
    return fnv_bytes((n >> shift) & 0xFF for n in numbers for shift in (0, 8, 16))


def fnv_bytes(data):
    h = 0x811C9DC5
    for byte in data:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def classes():
    def pieces(splitter, text):
        return len(splitter.pre_tokenize_str(text))

    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    accents = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    chinese = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)
    marks, spaces = normalizers.StripAccents(), normalizers.Strip()
    byte_level, words = pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Whitespace()
    digits, signs, scripts = pre_tokenizers.Digits(), pre_tokenizers.Punctuation(), pre_tokenizers.UnicodeScripts()
    tests = dict(
        control=lambda c: clean.normalize_str(c) == "",
        nonspacing=lambda c: accents.normalize_str(c) == "",
        chinese=lambda c: chinese.normalize_str(c) == f" {c} ",
        mark=lambda c: marks.normalize_str(c) == "",
        space=lambda c: spaces.normalize_str(c) == "",
        letter=lambda c: pieces(byte_level, "a" + c) == 1,
        number=lambda c: pieces(byte_level, "1" + c) == 1,
        word=lambda c: words.pre_tokenize_str("a" + c)[0][0] == "a" + c,
        numeric=lambda c: pieces(digits, "a" + c + "a") == 3,
        punctuation=lambda c: pieces(signs, "a" + c + "a") == 3,
        # Scripts: whether a character may stand with one of another.
        latin=lambda c: pieces(scripts, "a" + c) == 1,
        han=lambda c: pieces(scripts, "中" + c) == 1,
        common=lambda c: pieces(scripts, "!" + c) == 1,
        arabic=lambda c: pieces(scripts, "ع" + c) == 1,
    )
    return {name: ranges([c for c in POINTS if test(chr(c))]) for name, test in tests.items()}


def old():
    """Characters of Unicode 14 and older, which every engine knows."""
    assert unicodedata.unidata_version == "14.0.0"
    return ranges([c for c in POINTS if unicodedata.category(chr(c)) != "Cn"])


def maps():
    """A hash over what each code point becomes, for each block of 0x1000 of the planes that have characters."""
    out = {}
    for name in ("NFD", "NFC", "NFKD", "NFKC", "Lowercase", "Nmt"):
        normalize = getattr(normalizers, name)().normalize_str
        out[name] = [
            fnv(ord(x) for c in range(start, start + 0x1000) if not 0xD800 <= c < 0xE000 for x in normalize(chr(c)))
            for start in range(0, 0x34000, 0x1000)
        ]
    return out


def utf16(text):
    out = [0]
    for c in text:
        out.append(out[-1] + (2 if ord(c) > 0xFFFF else 1))
    return out


def hashes(tokenizer, texts):
    out = b""
    for text in texts:
        e, at = tokenizer._tokenizer.encode(text), utf16(text)
        h = fnv(n for i, (a, b), w in zip(e.ids, e.offsets, e.word_ids) for n in (i, at[a], at[b], 0xFFFF if w is None else w))
        out += struct.pack("<H", (h ^ (h >> 16)) & 0xFFFF)
    return out


def vocabulary():
    """Every character of the first two planes as a word and as a part, so that ids tell what a text became."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    space = normalizers.Strip()
    for c in range(0x21, 0x20000):
        if not 0xD800 <= c < 0xE000 and space.normalize_str(chr(c)) != "":
            tokens += [chr(c), "##" + chr(c)]
    return {token: i for i, token in enumerate(tokens)}


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    texts, vocab = strings(COUNT, SEED), vocabulary()
    variants, packed = [], b""
    for lower in (True, False):
        for accents in (None, True, False):
            for chinese in (True, False):
                config = dict(tokenizer_class="BertTokenizer", do_lower_case=lower, strip_accents=accents, tokenize_chinese_chars=chinese)
                variants.append(config)
                packed += hashes(BertTokenizer(vocab=vocab, **{k: v for k, v in config.items() if k != "tokenizer_class"}), texts)
    folder = HERE / "tokenizers" / "roberta"
    for prefix in (False, True):
        for trim in (True, False):
            config = dict(tokenizer_class="RobertaTokenizer", add_prefix_space=prefix, trim_offsets=trim)
            variants.append(config)
            packed += hashes(RobertaTokenizer.from_pretrained(folder, add_prefix_space=prefix, trim_offsets=trim), texts)
    (OUT / "hashes.bin").write_bytes(packed)
    (OUT / "unicode.json").write_text(json.dumps(dict(count=COUNT, seed=SEED, variants=variants, classes=classes(), maps=maps(), old=old()), separators=(",", ":")))
