"""Writes 1,000 strings and what Python's tokenizers make of them, to fixtures/tokenizers/.

    python test/reference/tokenizer_fixtures.py [folder with bert-base-uncased/vocab.txt and roberta-base/vocab.json, merges.txt]

Small vocabularies are trained here and kept; of the real ones, which stay outside, only the ids they give are.
"""

import json
import random
import shutil
import sys
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = Path(__file__).parent / "fixtures" / "tokenizers"
WORDS = """the a of to and in is was it for on with as at by from this that they we you he she not but or if then so
movie music river garden engine winter summer morning coffee window bridge letter paper doctor teacher student
running walked thinking beautiful terrible wonderful unbelievable misunderstanding reopened uncharacteristically
London Paris Zürich naïve café résumé coöperate façade Ångström jalapeño smörgåsbord Łódź İstanbul ǅungla ﬁnance ß ẞ
don't can't it's we'll they've I'd o'clock rock'n'roll e-mail state-of-the-art 3.14 1,000 2026 42nd C++ C# $5.99 100%
привет мир москва Ελλάδα Σίσυφος ΣΟΦΟΣ שלום עולם مرحبا العالم नमस्ते दुनिया ไทย 日本語 中文字符 한국어 東京タワー
😀 👍🏽 👨‍👩‍👧 🇫🇷 ❤️ ½ ² ™ … — “quoted” «guillemets» ʻokina ́combining e\u0301 n\u0303 \u200b \u00ad \ufeff""".split()
PUNCTUATION = list(".,;:!?()[]{}\"'`-_/\\|@#$%^&*+=<>~") + ["...", "--", "?!", "。", "、", "！", "–"]
SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<pad>", "<unk>"]
SPACES = [" ", " ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u3000", "\r\n"]


def sentence(rng, length):
    out = []
    for _ in range(length):
        draw = rng.random()
        if draw < 0.78:
            word = rng.choice(WORDS)
            out.append(rng.choice([word, word, word.upper(), word.capitalize()]))
        elif draw < 0.93:
            out.append(rng.choice(PUNCTUATION))
        elif draw < 0.95:
            out.append(rng.choice(SPECIAL))
        elif draw < 0.97:
            out.append("".join(chr(rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0x370, 0x600),
                                               rng.randrange(0x4e00, 0x4f00), rng.randrange(0x1f300, 0x1f600)])) for _ in range(4)))
        else:
            out.append("x" * rng.choice([3, 99, 100, 101, 150]))
    return "".join(w + rng.choice(SPACES + [""]) for w in out)


def strings():
    rng = random.Random(2026)
    fixed = ["", " ", "\n\t ", "a", "[SEP]", "<mask>", "hello <mask> world", "word[MASK]word", "\u0000\u0001control\u007f", "é", "e\u0301",
             "ΣΊΣΥΦΟΣ", "İ", "ﬀ", "\ufffd", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "a" * 600, "。" * 30, "don't  stop", " leading", "trailing ", "\u200d"]
    out = fixed + [sentence(rng, rng.choice([1, 2, 3, 5, 8, 13, 30])) for _ in range(970 - len(fixed))]
    out += [sentence(rng, rng.choice([150, 300])) for _ in range(30)]
    # Characters that Unicode versions disagree on are left out: Python's tables and JavaScript's may be of different years.
    return ["".join(c for c in s if unicodedata.category(c) != "Cn" and not 0xd800 <= ord(c) < 0xe000) for s in out]


def bert(vocab, lowercase):
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    return t


def trained_words(corpus, lowercase):
    t = bert({"[UNK]": 0}, lowercase)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=1200, limit_alphabet=700, special_tokens=special))
    return t.get_vocab()


def finish_bert(t):
    ids = {s: t.token_to_id(s) for s in ("[CLS]", "[SEP]")}
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=list(ids.items()))
    return t


def roberta(vocab, merges, add_prefix_space=False):
    """As RoBERTa's published tokenizer.json: the mask takes the space before it along."""
    from tokenizers import AddedToken
    t = Tokenizer(models.BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")),
                                                    trim_offsets=True, add_prefix_space=add_prefix_space)
    return t


def units(text):
    """Code point index -> UTF-16 index."""
    out = [0]
    for c in text:
        out.append(out[-1] + (2 if ord(c) > 0xffff else 1))
    return out


def encoded(t, texts, pairs, detail):
    rows = []
    for text in texts:
        e = t.encode(text)
        row = dict(ids=e.ids)
        if detail:
            at = units(text)
            row["offsets"] = [at[i] for pair in e.offsets for i in pair]
            row["words"] = e.word_ids
        rows.append(row)
    joined = []
    for a, b, limit in pairs:
        t.enable_truncation(limit, strategy="longest_first")
        e = t.encode(a, b)
        t.no_truncation()
        joined.append(dict(ids=e.ids, types=e.type_ids))
    return dict(singles=rows, pairs=joined)


def write(name, data):
    (OUT / name).write_text(json.dumps(data, ensure_ascii=True, separators=(",", ":")))


if __name__ == "__main__":
    # The trainer of WordPiece breaks ties in another way each time.
    vocabularies = {name: OUT / name / "vocab.txt" for name in ("bert-uncased", "bert-cased")}
    vocabularies = {name: path.read_text(encoding="utf-8") for name, path in vocabularies.items() if path.exists()}
    kept = {name: (OUT / name).read_bytes() for name in ("parts.json", "folders.json") if (OUT / name).exists()}
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for name, data in kept.items():
        (OUT / name).write_bytes(data)
    texts = strings()
    rng = random.Random(5)
    pairs = [(rng.choice(texts[:900]), rng.choice(texts), rng.choice([8, 9, 16, 33, 128])) for _ in range(200)]
    write("strings.json", dict(texts=texts, pairs=[(texts.index(a), texts.index(b), n) for a, b, n in pairs]))

    corpus = [s.replace("[", " ").replace("<", " ") for s in texts]
    for name, lowercase in (("bert-uncased", True), ("bert-cased", False)):
        if name in vocabularies:
            vocab = {word: i for i, word in enumerate(vocabularies[name].removesuffix("\n").split("\n"))}
        else:
            vocab = trained_words(corpus, lowercase)
        t = finish_bert(bert(vocab, lowercase))
        folder = OUT / name
        folder.mkdir()
        (folder / "vocab.txt").write_text("\n".join(sorted(vocab, key=vocab.get)) + "\n", encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(dict(do_lower_case=lowercase, model_max_length=512, tokenizer_class="BertTokenizer")))
        write(f"{name}.json", encoded(t, texts, pairs, True))
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                      special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"]))
    trained = json.loads(t.to_str())["model"]
    folder = OUT / "roberta"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(trained["vocab"], separators=(",", ":")))
    merges = [tuple(m) if not isinstance(m, str) else tuple(m.split(" ")) for m in trained["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    write("roberta.json", encoded(roberta(trained["vocab"], merges), texts, pairs, True))
    # The same through tokenizer.json, as save_pretrained writes it.
    finished = OUT / "roberta-json"
    finished.mkdir()
    roberta(trained["vocab"], merges, add_prefix_space=True).save(str(finished / "tokenizer.json"), pretty=False)
    write("roberta-json.json", encoded(Tokenizer.from_file(str(finished / "tokenizer.json")), texts, pairs, True))

    if len(sys.argv) > 1:
        real = Path(sys.argv[1])
        vocab = {w: i for i, w in enumerate((real / "bert-base-uncased" / "vocab.txt").read_text().splitlines())}
        write("real-bert.json", encoded(finish_bert(bert(vocab, True)), texts, pairs, False))
        vocab = json.loads((real / "roberta-base" / "vocab.json").read_text())
        lines = (real / "roberta-base" / "merges.txt").read_text().split("\n")
        merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        write("real-roberta.json", encoded(roberta(vocab, merges), texts, pairs, False))
