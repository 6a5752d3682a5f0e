"""Writes a small table of SentencePiece's replacements to precompiled.b64. Needs the package sentencepiece.

    python test/reference/precompiled_table.py [name of a whole table, such as nmt_nfkc] > test/reference/precompiled.b64
"""

import base64
import io
import sys
import tempfile

import sentencepiece

RULES = {"ﬁ": "fi", "½": "1⁄2", "①": "1", "\uff76\uff9e": "\u30ac", "e\u0301": "\u00e9", "\u200b": "", "\u3000": " ", "\u00a0": " ", "\u2028": " ", "\t": " ", "\n": " ", "\r": " ", "\u212b": "\u00c5",
         "\u0130": "I\u0307", "\u200d": "", "\ufeff": "", "ﷺ": "صلى الله عليه وسلم", "𝔘": "U", "a\u0302\u0323": "\u1ead", "👍🏽": "👍", "\u0323\u0307": "\u0307"}


def field(data, wanted):
    """The bytes of a field of a protocol buffer's message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    found = b""
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            varint()
        elif key & 7 == 5:
            at += 4
        else:
            length = varint()
            if key >> 3 == wanted:
                found = data[at:at + length]
            at += length
    return found


with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
    for source, target in RULES.items():
        rules.write("\t".join(" ".join(f"{ord(c):X}" for c in text) for text in (source, target)) + "\n")
    rules.flush()
    choice = dict(normalization_rule_name=sys.argv[1]) if len(sys.argv) > 1 else dict(normalization_rule_tsv=rules.name)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["a b c d e f g"] * 50), model_writer=model, vocab_size=12, model_type="unigram", minloglevel=5, hard_vocab_limit=False, **choice)
print(base64.b64encode(field(field(model.getvalue(), 3), 2)).decode())
