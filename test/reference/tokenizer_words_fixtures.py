"""Writes what transformers makes of texts that are split into words, and of windows over long pairs, to
fixtures/tokenizers/words.json, as hashes.

    python test/reference/tokenizer_words_fixtures.py
"""

import json

from transformers import AutoTokenizer, RobertaTokenizer

from tokenizer_unigram_fixtures import OUT, hashed
from unicode_fixtures import utf16

FOLDERS = ("bert-uncased", "bert-cased", "roberta", "roberta prefix", "xlm-roberta", "camembert")
LONG = dict(max_length=24, stride=5, truncation="only_second", return_overflowing_tokens=True)


def flat(encodings, words):
    """[ids, offsets, words, texts] of each window; `words(text)` are the strings that offsets count in."""
    out = []
    for e in encodings:
        places = []
        for (a, b), word, text in zip(e.offsets, e.word_ids, e.sequence_ids):
            at = utf16("") if text is None else utf16(words(text, word))
            places += [at[a], at[b]]
        out.append([e.ids, places, e.word_ids, e.sequence_ids])
    return hashed(out)


strings = json.loads((OUT / "strings.json").read_text())["texts"]
texts = [text.split(" ") for text in strings[20:140]]
texts = [[word for word in words if word] or ["a"] for words in texts]
made = {}
for folder in FOLDERS:
    name, *prefix = folder.split()
    kind = RobertaTokenizer if name == "roberta" else AutoTokenizer
    t = kind.from_pretrained(OUT / name, **(dict(add_prefix_space=True) if prefix else {}))
    singles, pairs, windows = [], [], []
    for number, words in enumerate(texts):
        other = texts[(number + 7) % len(texts)]
        one = t(words, is_split_into_words=True)
        singles.append(flat(one.encodings, lambda text, word: words[word]))
        both = t([words], [other], is_split_into_words=True, truncation=True, max_length=32)
        pairs.append(flat(both.encodings, lambda text, word: (words, other)[text][word]))
        question, context = " ".join(words[:4]), " ".join(words + other)
        if len(t(question)["input_ids"]) > 14:
            continue
        long = t([question], [context], **LONG)
        windows.append([number, flat(long.encodings, lambda text, word: (question, context)[text])])
    made[folder] = dict(singles=singles, pairs=pairs, windows=windows)
(OUT / "words.json").write_text(json.dumps(made, separators=(",", ":")) + "\n")
