"""Writes what Python's tokenizers makes of texts with each kind of normalizer, pre-tokenizer, model, post-processor and decoder, and
what transformers makes of folders with each key of the tokenizer's files, to fixtures/tokenizers/parts.json and folders.json.

    python test/reference/tokenizer_parts_fixtures.py
"""

import base64
import json
import os
import shutil
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402
from unicode_fixtures import utf16  # noqa: E402

OUT = Path(__file__).parent / "fixtures" / "tokenizers"
TEXTS = ["so good!!! really...", "tea2024, 5x!", "über größe café naïve cafe\u0301", "Привет мир", "don't x_y 50%", "a-b--c  d", "日本語 text",
         "한글 tea", "مرحبا بك", "  leading and trailing \t\n", "", " ", "ﬁne ½ ① ｶﾞ Å İI ΣΊΣ", "q\u0323\u0307 q\u0307\u0323 ậ a\u0302\u0323", "👍🏽 👨\u200d👩 𝔘𝔫", "a\u00a0b\u3000c\u2028d\ufeffe\u0085f",
         "a,b;c\r\nd", "<s>a</s> [MASK] b", "▁under score", "x" * 12, "1234 ١٢٣", "(a) [b] {c} <d>", "a|b|c", "ab abc aabb x²y", "\u0000\u0001z\u007f\u200b"]


def row(e, text):
    at = utf16(text)
    return [e.ids, [at[i] for pair in e.offsets for i in pair], [-1 if w is None else w for w in e.word_ids]]


def alphabet():
    """Every character of the texts and of what normalizers make of them, as a word and as a part."""
    seen = set("ĠĊ▁_#abcdefghijklmnopqrstuvwxyz'") | set(pre_tokenizers.ByteLevel.alphabet())
    for text in TEXTS:
        for change in (str, str.lower, *(getattr(normalizers, n)().normalize_str for n in ("NFD", "NFKD", "NFC", "NFKC"))):
            seen |= set(change(text))
    return sorted(seen)


def word_piece():
    vocab = {}
    for token in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(p + c for c in alphabet() for p in ("", "##"))]:
        vocab.setdefault(token, len(vocab))
    return models.WordPiece(vocab, unk_token="[UNK]")


def parts():
    """Name, and what to change of a tokenizer of characters."""
    n, p = normalizers, pre_tokenizers
    out = []
    add = lambda name, **kw: out.append((name, kw))
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"):
        add(name, normalizer=getattr(n, name)())
    add("NFD, StripAccents", normalizer=n.Sequence([n.NFD(), n.StripAccents()]))
    add("NFKC, Lowercase, NFD", normalizer=n.Sequence([n.NFKC(), n.Lowercase(), n.NFD()]))
    for left in (True, False):
        add(f"Strip left={left}", normalizer=n.Strip(left=left, right=not left))
    add("Replace text", normalizer=n.Replace("a", "zyx"))
    add("Replace by nothing", normalizer=n.Replace("-", ""))
    add("Replace pattern", normalizer=n.Replace(Regex(r"\s+"), " "))
    add("Replace pattern twice", normalizer=n.Sequence([n.Replace(Regex(r"[^\w\s]"), ""), n.Replace(Regex(r"(?i:a|K|š)"), "bb")]))
    add("Prepend", normalizer=n.Prepend("▁"))
    add("Prepend, Replace", normalizer=n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]))
    add("ByteLevel normalizer", normalizer=n.ByteLevel())
    for kw in (dict(), dict(lowercase=False), dict(clean_text=False), dict(handle_chinese_chars=False), dict(lowercase=False, strip_accents=True), dict(strip_accents=False)):
        add(f"BertNormalizer {kw}", normalizer=n.BertNormalizer(**kw))
    behaviors = ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
    for name in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts"):
        add(name, pre_tokenizer=getattr(p, name)())
    for behavior in behaviors:
        add(f"Punctuation {behavior}", pre_tokenizer=p.Punctuation(behavior))
        for invert in (False, True):
            add(f"Split text {behavior} {invert}", pre_tokenizer=p.Split("-", behavior, invert))
            add(f"Split pattern {behavior} {invert}", pre_tokenizer=p.Split(Regex(r"\d+|[aeiou]\p{M}*"), behavior, invert))
    for pattern in (r"\w+|[^\w\s]+", r"\p{L}+", r"[\p{L}\p{N}&&[^a-c]]+", r"'(?i:s|t|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
                    r"(?<=a)b", r"\h{2}", r"^\s", r".", r"\bt", r"\p{Han}|\p{^L}", r"[\]\-.]", r"a{2}b{2}|{c}", r"\W$|^\w", r"\w", r"[\w]", r"[^\P{L}a-f&&\p{^Lu}]", r"\x61|\u0062|[\x{63}-e&&[^d]]", r"a{,1}b", r"[a-]|\-"):
        add(f"Split {pattern}", pre_tokenizer=p.Split(Regex(pattern), "isolated"))
    for individual in (False, True):
        add(f"Digits {individual}", pre_tokenizer=p.Digits(individual))
    add("CharDelimiterSplit", pre_tokenizer=p.CharDelimiterSplit("|"))
    add("FixedLength", pre_tokenizer=p.FixedLength(3))
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            add(f"Metaspace {scheme} {split}", pre_tokenizer=p.Metaspace("▁", scheme, split), decoder=decoders.Metaspace("▁", scheme))
    add("WhitespaceSplit, Metaspace", pre_tokenizer=p.Sequence([p.WhitespaceSplit(), p.Metaspace()]))
    add("Sequence", pre_tokenizer=p.Sequence([p.Digits(True), p.Punctuation(), p.WhitespaceSplit()]), normalizer=n.NFKC())
    for prefix in (True, False):
        for regex in (True, False):
            for trim in (True, False):
                add(f"ByteLevel {prefix} {regex} {trim}", pre_tokenizer=p.ByteLevel(prefix, use_regex=regex), decoder=decoders.ByteLevel(),
                    post_processor=processors.ByteLevel(trim_offsets=trim, add_prefix_space=prefix))
    around = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $B:1 [SEP]:1 $A:0 [SEP]:3", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    add("TemplateProcessing", pre_tokenizer=p.WhitespaceSplit(), post_processor=around)
    add("TemplateProcessing of several ids", post_processor=processors.TemplateProcessing(single="x $A", pair="$A x:2 $B:1", special_tokens=[{"id": "x", "ids": [2, 4, 3], "tokens": ["[CLS]", "[MASK]", "[SEP]"]}]))
    add("BertProcessing", post_processor=processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)))
    add("RobertaProcessing", pre_tokenizer=p.ByteLevel(), post_processor=processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2)))
    add("ByteLevel, TemplateProcessing", pre_tokenizer=p.ByteLevel(False), post_processor=processors.Sequence([processors.ByteLevel(trim_offsets=True), around]))
    for kw in (dict(), dict(prefix="##", cleanup=False)):
        add(f"WordPiece decoder {kw}", pre_tokenizer=p.BertPreTokenizer(), decoder=decoders.WordPiece(**kw))
    add("BPEDecoder", decoder=decoders.BPEDecoder(suffix="a"))
    add("CTC", decoder=decoders.CTC(pad_token="b", word_delimiter_token="|"))
    add("Replace, Fuse, Strip", decoder=decoders.Sequence([decoders.Replace("#", ""), decoders.Fuse(), decoders.Strip("a", 1, 1)]))
    add("ByteFallback", decoder=decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()]))
    characters = alphabet()
    words = [w for text in TEXTS for w in text.split(" ")]
    numbered = lambda tokens: {t: i for i, t in enumerate(dict.fromkeys(tokens))}
    split = p.Split(" ", "merged_with_next")
    add("WordLevel", model=models.WordLevel(numbered(["[UNK]", "so", " tea", " мир", "日本語"]), unk_token="[UNK]"), pre_tokenizer=split)
    add("WordPiece of 5 characters at most", model=models.WordPiece(numbered(["?", "so", "tea", "a", "--"]), unk_token="?", max_input_chars_per_word=5, continuing_subword_prefix="-"), pre_tokenizer=split)
    base = [c for c in characters if c not in "ßмب日"]
    pairs = [("t", "e"), ("te", "a"), ("a", "b"), ("b", "c"), ("ab", "c"), ("g", "o"), ("go", "o"), ("x", "x"), ("xx", "xx"), ("o", "d")]
    joined = [a + b for a, b in pairs]
    bpe = lambda tokens=(), merges=pairs, **kw: models.BPE(numbered([*base, *joined, *tokens]), merges, **kw)
    add("BPE", model=models.BPE(numbered([*characters, *joined]), pairs), pre_tokenizer=split)
    add("BPE unknown", model=bpe(["?"], unk_token="?"), pre_tokenizer=split)
    add("BPE unknown, fused", model=bpe(["?"], unk_token="?", fuse_unk=True), pre_tokenizer=split)
    add("BPE end of word", model=models.BPE(numbered([*base, *(c + "</w>" for c in base), "te", "tea</w>", "?"]), [("t", "e"), ("te", "a</w>")], unk_token="?", end_of_word_suffix="</w>"), pre_tokenizer=p.WhitespaceSplit(), decoder=decoders.BPEDecoder())
    add("BPE prefix", model=models.BPE(numbered([*base, *("@" + c for c in base), "te", "tea", "?"]), [("t", "@e"), ("te", "@a")], unk_token="?", continuing_subword_prefix="@"), pre_tokenizer=p.WhitespaceSplit())
    add("BPE byte fallback", model=bpe([f"<0x{b:02X}>" for b in range(256)], unk_token=None, byte_fallback=True), pre_tokenizer=split, decoder=decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()]))
    add("BPE ignoring merges", model=models.BPE(numbered([*characters, *joined, " tea", "so"]), pairs, ignore_merges=True), pre_tokenizer=split)
    # A character without a token is left out where there is no unknown one; Python's offsets then count too little, and are not held against.
    add("BPE with characters left out", model=bpe(), pre_tokenizer=split, offsets=False)
    pieces = [("<unk>", 0.0), *((c, -8.0 - i % 7) for i, c in enumerate(base)), ("▁", -3.0), ("tea", -5.5), ("te", -4.0), ("▁a", -4.5), ("ab", -6.0), ("bc", -5.0), ("abc", -11.5), ("good", -9.0), ("oo", -7.0), ("xx", -10.0), ("xxx", -14.5)]
    add("Unigram", model=models.Unigram(pieces, unk_id=0), pre_tokenizer=p.Metaspace(), decoder=decoders.Metaspace())
    add("Unigram whole", model=models.Unigram(pieces, unk_id=0))
    add("Unigram byte fallback", model=models.Unigram([*pieces, *((f"<0x{b:02X}>", -12.0) for b in range(256))], unk_id=0, byte_fallback=True), pre_tokenizer=p.Metaspace(), decoder=decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]))
    table = Path(__file__).parent / "precompiled.b64"
    if table.exists():
        add("Precompiled", normalizer=n.Precompiled(base64.b64decode(table.read_text())))
        add("Precompiled, Unigram", normalizer=n.Precompiled(base64.b64decode(table.read_text())), model=models.Unigram(pieces, unk_id=0), pre_tokenizer=p.Sequence([p.WhitespaceSplit(), p.Metaspace()]))
    assert words
    return out


def added_tokens():
    tokens = [AddedToken("ab", single_word=True, normalized=False), AddedToken("Tea"), AddedToken("--", lstrip=True), AddedToken("<s>", rstrip=True, special=True),
              AddedToken("café", normalized=True), AddedToken("a", single_word=True, lstrip=True, rstrip=True), AddedToken("мир", normalized=False), AddedToken("x_y", special=True, normalized=True)]
    return ("added tokens", dict(normalizer=normalizers.BertNormalizer(), pre_tokenizer=pre_tokenizers.BertPreTokenizer(), decoder=decoders.WordPiece(), tokens=tokens))


def parts_fixture():
    plain = json.loads(Tokenizer(word_piece()).to_str())["model"]
    rows = []
    for name, kw in [*parts(), added_tokens(), ("added tokens, byte level", dict(pre_tokenizer=pre_tokenizers.ByteLevel(), decoder=decoders.ByteLevel(), post_processor=processors.ByteLevel(), tokens=added_tokens()[1]["tokens"]))]:
        t = Tokenizer(kw.get("model") or word_piece())
        for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
            if key in kw:
                setattr(t, key, kw[key])
        t.add_tokens(kw.get("tokens", []))
        made = json.loads(t.to_str())
        if made["model"] == plain:
            del made["model"]
        encoded = [t.encode(text) for text in TEXTS]
        pair = t.encode(TEXTS[0], TEXTS[5])
        rows.append(dict(name=name, json={k: v for k, v in made.items() if v not in (None, [])}, rows=[row(e, text) if kw.get("offsets", True) else row(e, text)[:1] for e, text in zip(encoded, TEXTS)],
                         pair=[pair.ids, pair.type_ids], decoded=[t.decode(e.ids, skip_special_tokens=False) if e.ids else "" for e in encoded], skipped=t.decode(encoded[17].ids)))
    return dict(texts=TEXTS, model=plain, parts=rows)


WORDS = ["the", "river", "and", "tea", "new", "york", "ab", "c", "good", "soup", "film", "so", "like", "we", "never", "cold", "slow", "train", "but", "was", "very", "they", "loved", "it", "a", "b", "[", "]", "<", ">", "ent", "mask", "x", "y",
         "Tea", "New", "York", "ä", "é", "!", ".", ",", "'", "s", "t", "##s", "##a", "##b", "##c", "##e", "##w", "##x"]
LINES = ["The river and New York tea.", "we never like cold soup", "Tea <ent> x<ent>y  [MASK] <mask> NEW", "ab abc newtok NEWTOK", "äé the Tea's", ""]
LONG = ["we never like the cold soup and the slow train but the film was very good", "the film was very good so they loved it", "tea"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOK = lambda content, **kw: dict(dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True), **kw)


def bert_vocab():
    return {t: i for i, t in enumerate([*BERT, *WORDS])}


def roberta_vocab():
    """Bytes, and some merges."""
    pairs = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "t"), ("Ġt", "e"), ("Ġte", "a"), ("a", "b"), ("n", "e"), ("ne", "w")]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in pairs)]
    return {t: i for i, t in enumerate(tokens)}, pairs


def bert_json(**changes):
    t = Tokenizer(models.WordPiece(bert_vocab(), unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    t.add_special_tokens(BERT)
    return {**json.loads(t.to_str()), **changes}


def roberta_json(prefix=False, **changes):
    vocab, pairs = roberta_vocab()
    t = Tokenizer(models.BPE(vocab, pairs, continuing_subword_prefix="", end_of_word_suffix=""))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=prefix), decoders.ByteLevel()
    t.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, normalized=False)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, prefix)
    return {**json.loads(t.to_str()), **changes}


def sentence_piece_json(tokens):
    words = ["the", "river", "and", "tea", "new", "york", "film", "so", "like", "we", "never", "cold", "The", "New", "Tea"]
    pieces = [*((t, 0.0) for t in tokens), *(("▁" + w, -4.0 - i / 8) for i, w in enumerate(words)), ("▁", -3.5), *((c, -6.0 - i / 16) for i, c in enumerate("abcdefghijklmnopqrstuvwxyzTNMASKY.,'[]")), ("ver", -7.0), ("<mask>", 0.0)]
    t = Tokenizer(models.Unigram(pieces, unk_id=3))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(base64.b64decode((Path(__file__).parent / "precompiled.b64").read_text())), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    t.add_special_tokens(["<s>", "</s>", "<pad>", "<unk>", AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[(x, t.token_to_id(x)) for x in ("<s>", "</s>")])
    return json.loads(t.to_str())


ALBERT = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]


def albert_json():
    """sentence_piece_json's pieces in ALBERT's order, split as its published tokenizer.json says."""
    spm = sentence_piece_json(["<pad>"])
    vocab = [*((t, 0.0) for t in ALBERT), *(tuple(p) for p in spm["model"]["vocab"] if p[0] not in ("<pad>", "<mask>")), ("\"", -6.0)]
    t = Tokenizer(models.Unigram(vocab, unk_id=1))
    table = normalizers.Precompiled(base64.b64decode((Path(__file__).parent / "precompiled.b64").read_text()))
    t.normalizer = normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), table])
    t.pre_tokenizer, t.decoder = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]), decoders.Metaspace()
    t.add_special_tokens([*ALBERT[:-1], AddedToken("[MASK]", lstrip=True, special=True, normalized=False)])
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return json.loads(t.to_str())


def modernbert_json():
    """RoBERTa's pieces split as GPT-NeoX does: NFC first, runs of spaces as added tokens, special tokens at the end."""
    vocab, pairs = roberta_vocab()
    vocab = {piece: i for i, piece in enumerate(p for p in vocab if p not in ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))}
    t = Tokenizer(models.BPE(vocab, pairs))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True), decoders.ByteLevel()
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in (4, 3, 2)])
    t.add_special_tokens([AddedToken(x, special=True, normalized=False, lstrip=x == "[MASK]") for x in ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")])
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[(x, t.token_to_id(x)) for x in ("[CLS]", "[SEP]")])
    return json.loads(t.to_str())


DEBERTA = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]


def deberta_json():
    """sentence_piece_json's pieces in DeBERTa's order, its mask added to them, split as its published tokenizer.json says."""
    pieces = [p for p in sentence_piece_json(["<pad>"])["model"]["vocab"] if p[0] not in ("<pad>", "<mask>")]
    t = Tokenizer(models.Unigram([*((x, 0.0) for x in DEBERTA), *(tuple(p) for p in pieces)], unk_id=3))
    table = normalizers.Precompiled(base64.b64decode((Path(__file__).parent / "precompiled.b64").read_text()))
    t.normalizer = normalizers.Sequence([normalizers.Strip(), table, normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer, t.decoder = pre_tokenizers.Sequence([pre_tokenizers.Metaspace()]), decoders.Metaspace()
    t.add_special_tokens([*DEBERTA[:3], AddedToken("[UNK]", normalized=True, special=True), "[MASK]"])
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return json.loads(t.to_str())


MPNET = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]


def mpnet_json():
    """BERT's words between MPNet's own tokens, as its published tokenizer.json has them."""
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate([*MPNET[:5], *WORDS, MPNET[5]])}, unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    t.add_special_tokens([*MPNET[:5], AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    return json.loads(t.to_str())


def folders():
    """Name, files, and calls beyond those that every folder gets."""
    out = []
    vocab, pairs = roberta_vocab()
    words = "\n".join([*BERT, *WORDS]) + "\n"
    merges = "#version: 0.2\n" + "\n".join(" ".join(p) for p in pairs) + "\n"

    def bert(name, config=None, calls=(), **files):
        out.append((f"BERT, {name}", {"vocab.txt": words, "config.json": dict(model_type="bert"), **({} if config is None else {"tokenizer_config.json": config}), **files}, calls))

    def roberta(name, config=None, calls=(), **files):
        out.append((f"RoBERTa, {name}", {"vocab.json": vocab, "merges.txt": merges, "config.json": dict(model_type="roberta"), **({} if config is None else {"tokenizer_config.json": config}), **files}, calls))

    def whole(name, json_file, config=None, model="bert", calls=(), **files):
        out.append((f"tokenizer.json, {name}", {"tokenizer.json": json_file, **({} if model is None else {"config.json": dict(model_type=model)}), **({} if config is None else {"tokenizer_config.json": config}), **files}, calls))

    bert("vocab.txt")
    bert("spaces at a line's end", **{"vocab.txt": words.replace("river\n", "river \u00a0\r\n")})
    for config in (dict(do_lower_case=False), dict(do_lower_case=False, strip_accents=True), dict(strip_accents=False), dict(tokenize_chinese_chars=False), dict(do_basic_tokenize=False, never_split=["tea"]),
                   dict(tokenizer_class="DistilBertTokenizer"), dict(tokenizer_class="BertTokenizerFast"), dict(tokenizer_class="ElectraTokenizer"), dict(model_input_names=["input_ids", "attention_mask"]),
                   dict(clean_up_tokenization_spaces=True), dict(model_max_length=7), dict(max_len=7), dict(mask_token=None), dict(unk_token="x", cls_token="a", sep_token="b"),
                   dict(cls_token=TOK("c", __type="AddedToken")), dict(split_special_tokens=True), dict(extra_special_tokens=["<ent>", "newtok"]), dict(additional_special_tokens=["<ent>"]),
                   dict(extra_special_tokens=dict(entity_token="<ent>")), dict(entity_token="<ent>"), dict(add_bos_token=True), dict(additional_special_tokens=[TOK("newtok", normalized=True, __type="AddedToken")]),
                   dict(added_tokens_decoder={str(i): TOK(t) for i, t in enumerate(BERT)} | {str(len(BERT) + len(WORDS)): TOK("newtok", special=False, normalized=True), str(len(BERT) + len(WORDS) + 1): TOK("<ent>", lstrip=True)})):
        bert(json.dumps(config)[:90], config)
    n = len(BERT) + len(WORDS)
    bert("added_tokens.json", **{"added_tokens.json": {"newtok": n, "<ent>": n + 1}})
    bert("added_tokens.json, special", dict(extra_special_tokens=["<ent>"]), **{"added_tokens.json": {"newtok": n, "<ent>": n + 1}})
    bert("special_tokens_map.json", **{"special_tokens_map.json": dict(mask_token=TOK("<mask>", lstrip=True), additional_special_tokens=["<ent>"], pad_token="[UNK]")})
    bert("special_tokens_map.json beside added_tokens_decoder", dict(added_tokens_decoder={}), **{"special_tokens_map.json": dict(mask_token="<mask>")})
    bert("special_tokens_map.json has the last word", dict(cls_token="a", extra_special_tokens=["x"]), **{"special_tokens_map.json": dict(cls_token="b", extra_special_tokens=["<ent>"])})
    roberta("vocab.json")
    for config in (dict(add_prefix_space=True), dict(trim_offsets=False), dict(trim_offsets=False, add_prefix_space=True), dict(mask_token=TOK("<mask>", lstrip=True, __type="AddedToken")), dict(clean_up_tokenization_spaces=True),
                   dict(clean_up_tokenization_spaces=True, clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output=True), dict(errors="strict"), dict(bos_token="a", eos_token="b"), dict(tokenizer_class="RobertaTokenizerFast")):
        roberta(json.dumps(config)[:90], config)
    whole("BERT without post-processor", bert_json())
    whole("RoBERTa, ByteLevel as post-processor", roberta_json(post_processor=json.loads(processors.ByteLevel().__getstate__())), model="roberta")
    whole("RoBERTa with a prefix that tokenizer_config.json does not have", roberta_json(True), model="roberta")
    whole("RoBERTa, as it is", roberta_json(True), dict(tokenizer_class="PreTrainedTokenizerFast"), "roberta")
    whole("BERT, as it is", bert_json(normalizer=None), dict(tokenizer_class="PreTrainedTokenizerFast"))
    whole("BERT, as it is, types wanted", bert_json(post_processor=dict(type="BertProcessing", sep=["[SEP]", 3], cls=["[CLS]", 2])), dict(tokenizer_class="TokenizersBackend", model_input_names=["input_ids", "token_type_ids", "attention_mask"]))
    whole("BERT, types not wanted", bert_json(post_processor=dict(type="BertProcessing", sep=["[SEP]", 3], cls=["[CLS]", 2])), dict(tokenizer_class="TokenizersBackend"))
    whole("without a model's config.json", bert_json(), None, None)
    whole("BERT with another normalizer", bert_json(normalizer=dict(type="Lowercase"), pre_tokenizer=dict(type="WhitespaceSplit")))
    whole("BERT of another model's class", roberta_json(), dict(tokenizer_class="RobertaTokenizer"))
    whole("added tokens of its own", {**bert_json(), "added_tokens": [*bert_json()["added_tokens"], dict(id=n, **TOK("newtok", special=False, normalized=True)), dict(id=n + 1, **TOK("<ent>"))]})
    whole("added tokens of its own, as it is", {**bert_json(), "added_tokens": [*bert_json()["added_tokens"], dict(id=n, **TOK("newtok", special=False, normalized=True)), dict(id=n + 1, **TOK("<ent>"))]}, dict(tokenizer_class="PreTrainedTokenizerFast", mask_token="[MASK]", extra_special_tokens=["b", "<mask>"]))
    whole("added tokens beside added_tokens_decoder", {**bert_json(), "added_tokens": [*bert_json()["added_tokens"], dict(id=n, **TOK("newtok"))]}, dict(added_tokens_decoder={"4": TOK("[MASK]", lstrip=True)}))
    whole("added tokens with other flags in added_tokens_decoder", bert_json(), dict(tokenizer_class="PreTrainedTokenizerFast", added_tokens_decoder={"4": TOK("[MASK]", lstrip=True, normalized=True), "5": TOK("the", special=False, single_word=True)}))
    for model, tokens in (("xlm-roberta", ["<s>", "<pad>", "</s>", "<unk>"]), ("camembert", ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"])):
        spm = sentence_piece_json(tokens)
        whole(model, spm, model=model)
        whole(f"{model} without a prefix", spm, dict(add_prefix_space=False, mask_token=TOK("<mask>", lstrip=True, __type="AddedToken")), model)
        whole(f"{model} with a long pair", spm, None, model, [dict(truncation=True, max_length=30, stride=2, text=LONG[0], text_pair=LONG[1], return_overflowing_tokens=True)])
        whole(f"{model}, as it is", spm, dict(tokenizer_class="PreTrainedTokenizerFast", pad_token="<pad>", mask_token="<mask>"), model)
    for side in ("Left", "Right"):
        whole(f"truncation and padding on the side {side}", bert_json(truncation=dict(direction=side, max_length=5, strategy="LongestFirst", stride=0), padding=dict(strategy="BatchLongest", direction=side, pad_to_multiple_of=None, pad_id=0, pad_type_id=0, pad_token="[PAD]")))
    long = [dict(truncation=True, max_length=m, stride=s, text=LONG[a], **({} if b is None else dict(text_pair=LONG[b])), **kw) for a, b in ((0, None), (0, 1), (2, 0), (0, 2)) for m, s in ((5, 0), (8, 1), (11, 2)) for kw in (dict(), dict(return_overflowing_tokens=True))
            if not (b is not None and m < 11 and "return_overflowing_tokens" in kw)]
    long += [dict(truncation=how, max_length=m, text=LONG[0], text_pair=LONG[1], **kw) for how in ("only_first", "only_second") for m, kw in ((3, {}), (4, {}), (16, dict(stride=2, return_overflowing_tokens=True)), (18, {}))]
    long += [dict(truncation=how, max_length=2, text=LONG[0]) for how in (True, "only_first", "only_second")] + [dict(max_length=6, text=LONG[0]), dict(truncation="do_not_truncate", max_length=6, text=LONG[0]), dict(truncation=True, max_length=6, add_special_tokens=False, text=LONG[0], text_pair=LONG[1])]
    for side in ("left", "right"):
        bert(f"windows on the side {side}", dict(truncation_side=side, padding_side=side), long)
        roberta(f"windows on the side {side}", dict(truncation_side=side, padding_side=side, add_prefix_space=side == "left"), [c for c in long if c.get("max_length", 9) > 4 and not {"text_pair", "return_overflowing_tokens"} <= c.keys()]
                + [dict(truncation=how, max_length=60, stride=5, text=LONG[0], text_pair=LONG[1], return_overflowing_tokens=True) for how in (True, "only_second")])
    published(out, words)
    return out


def published(out, words):
    """Folders of DistilBERT, XLM-RoBERTa, CamemBERT, ALBERT, MPNet, DeBERTa, ModernBERT and ELECTRA as the hub has them, and as transformers 4 and 5 save them."""
    def add(model, name, **files):
        files = {file.replace("_json", ".json"): content for file, content in files.items()}
        out.append((f"{model}, {name}", {"config.json": dict(model_type=model), **files}, [
            *(dict(text=line) for line in (*LINES[:3], "Cold tea,\u3000New\u200bYork ﬁlm Ⅷ", "the [MASK]<mask> river")), dict(text=LONG[0], text_pair=LONG[1]),
            dict(truncation=True, max_length=24, stride=3, text=LONG[0], text_pair=LONG[1], return_overflowing_tokens=True)]))

    typed = dict(__type="AddedToken")
    for lower in (True, False):
        add("distilbert", f"published, lower case {lower}", tokenizer_json=bert_json(), tokenizer_config_json=dict(do_lower_case=lower, model_max_length=512), **{"vocab.txt": words})
        add("distilbert", f"of transformers 4, lower case {lower}", tokenizer_json=bert_json(), special_tokens_map_json=dict(cls_token="[CLS]", mask_token="[MASK]", pad_token="[PAD]", sep_token="[SEP]", unk_token="[UNK]"), tokenizer_config_json=dict(
            added_tokens_decoder={str(i): TOK(t) for i, t in enumerate(BERT)}, clean_up_tokenization_spaces=True, cls_token="[CLS]", do_lower_case=lower, mask_token="[MASK]", model_max_length=512, pad_token="[PAD]", sep_token="[SEP]",
            strip_accents=None, tokenize_chinese_chars=True, tokenizer_class="DistilBertTokenizer", unk_token="[UNK]"), **{"vocab.txt": words})
    add("distilbert", "vocab.txt alone", **{"vocab.txt": words})
    add("distilbert", "of transformers 5", tokenizer_json=bert_json(), tokenizer_config_json=dict(backend="tokenizers", cls_token="[CLS]", do_lower_case=True, is_local=False, mask_token="[MASK]", model_max_length=512, pad_token="[PAD]", sep_token="[SEP]",
        strip_accents=None, tokenize_chinese_chars=True, tokenizer_class="DistilBertTokenizer", unk_token="[UNK]"))
    named = dict(bos_token="<s>", cls_token="<s>", eos_token="</s>", pad_token="<pad>", sep_token="</s>", unk_token="<unk>")
    for model, name, tokens in (("xlm-roberta", "XLMRobertaTokenizer", ["<s>", "<pad>", "</s>", "<unk>"]), ("camembert", "CamembertTokenizer", ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"])):
        spm = sentence_piece_json(tokens)
        ids = {t: i for i, (t, _) in enumerate(spm["model"]["vocab"])}
        decoder = {str(ids[t]): TOK(t, lstrip=t == "<mask>") for t in dict.fromkeys([*tokens, "<mask>"]) if t != "<unk>NOTUSED"}
        add(model, "published", tokenizer_json=spm, tokenizer_config_json=dict(model_max_length=512))
        more = dict(additional_special_tokens=["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]) if model == "camembert" else {}
        add(model, "of transformers 4", tokenizer_json=spm, special_tokens_map_json=dict(**named, mask_token=TOK("<mask>", lstrip=True, special=False)), tokenizer_config_json=dict(
            added_tokens_decoder=decoder, clean_up_tokenization_spaces=True, mask_token="<mask>", model_max_length=512, tokenizer_class=name, sp_model_kwargs={}, **named, **more))
        add(model, "of transformers 5", tokenizer_json=spm, tokenizer_config_json=dict(add_prefix_space=True, backend="tokenizers", is_local=False, mask_token="<mask>", model_max_length=512, tokenizer_class=name, **named, **more))
    spm = albert_json()
    named = dict(bos_token="[CLS]", cls_token="[CLS]", eos_token="[SEP]", pad_token="<pad>", sep_token="[SEP]", unk_token="<unk>")
    decoder = {str(i): TOK(t, lstrip=t == "[MASK]") for i, t in enumerate(ALBERT)}
    masked = dict(mask_token=TOK("[MASK]", lstrip=True, special=False))
    add("albert", "published", tokenizer_json=spm, tokenizer_config_json=dict(model_max_length=512))
    add("albert", "of transformers 4", tokenizer_json=spm, special_tokens_map_json=named | masked, tokenizer_config_json=dict(
        added_tokens_decoder=decoder, clean_up_tokenization_spaces=True, do_lower_case=True, keep_accents=False, mask_token="[MASK]", model_max_length=512, remove_space=True, sp_model_kwargs={}, tokenizer_class="AlbertTokenizer", **named))
    add("albert", "of transformers 5", tokenizer_json=spm, tokenizer_config_json=dict(add_prefix_space=True, backend="tokenizers", do_lower_case=True, is_local=False, keep_accents=False, mask_token="[MASK]", model_max_length=512,
        tokenizer_class="AlbertTokenizer", trim_offsets=True, **named))
    for config in (dict(do_lower_case=False), dict(keep_accents=True), dict(do_lower_case=False, keep_accents=True), dict(add_prefix_space=False), dict(tokenizer_class="AlbertTokenizerFast", mask_token=TOK("[MASK]", lstrip=True, __type="AddedToken")),
                   dict(model_input_names=["input_ids", "token_type_ids", "attention_mask"]), dict(cls_token="[SEP]", sep_token="[CLS]")):
        add("albert", json.dumps(config)[:90], tokenizer_json=spm, tokenizer_config_json=config)
    add("albert", "without a table", tokenizer_json={**spm, "normalizer": None})
    add("albert", "without a template", tokenizer_json={**spm, "post_processor": None}, tokenizer_config_json=dict(cls_token="[MASK]"))
    add("albert", "as it is", tokenizer_json=spm, tokenizer_config_json=dict(tokenizer_class="PreTrainedTokenizerFast", pad_token="<pad>", mask_token="[MASK]"))
    words = "\n".join([*MPNET[:5], *WORDS, MPNET[5]]) + "\n"
    json_file = mpnet_json()
    named = dict(bos_token="<s>", cls_token="<s>", eos_token="</s>", pad_token="<pad>", sep_token="</s>", unk_token="[UNK]")
    decoder = {str(t["id"]): TOK(t["content"], lstrip=t["content"] == "<mask>") for t in json_file["added_tokens"]}
    add("mpnet", "vocab.txt alone", **{"vocab.txt": words})
    add("mpnet", "published", tokenizer_json=json_file, tokenizer_config_json=dict(do_lower_case=True, model_max_length=512), **{"vocab.txt": words})
    add("mpnet", "of transformers 4", tokenizer_json=json_file, special_tokens_map_json=dict(**named, mask_token=TOK("<mask>", lstrip=True, special=False)), tokenizer_config_json=dict(
        added_tokens_decoder=decoder, clean_up_tokenization_spaces=True, do_lower_case=True, mask_token="<mask>", model_max_length=512, strip_accents=None, tokenize_chinese_chars=True, tokenizer_class="MPNetTokenizer", **named))
    add("mpnet", "of transformers 5", tokenizer_json=json_file, tokenizer_config_json=dict(backend="tokenizers", do_lower_case=True, is_local=False, mask_token="<mask>", model_max_length=512, strip_accents=None, tokenize_chinese_chars=True,
        tokenizer_class="MPNetTokenizer", **named))
    for config in (dict(do_lower_case=False), dict(strip_accents=False), dict(mask_token=TOK("<mask>", __type="AddedToken")), dict(mask_token="[UNK]"), dict(trim_offsets=False, add_prefix_space=True), dict(tokenizer_class="MPNetTokenizerFast")):
        add("mpnet", json.dumps(config)[:90], tokenizer_json=json_file, tokenizer_config_json=config)
    add("mpnet", "as it is", tokenizer_json=json_file, tokenizer_config_json=dict(tokenizer_class="PreTrainedTokenizerFast", pad_token="<pad>", mask_token="<mask>"))
    json_file = deberta_json()
    named = dict(bos_token="[CLS]", cls_token="[CLS]", eos_token="[SEP]", mask_token="[MASK]", pad_token="[PAD]", sep_token="[SEP]", unk_token="[UNK]")
    add("deberta-v2", "published", tokenizer_json=json_file, tokenizer_config_json=dict(do_lower_case=False, vocab_type="spm"))
    add("deberta-v2", "of transformers 4", tokenizer_json=json_file, special_tokens_map_json=named | dict(unk_token=TOK("[UNK]", special=False, normalized=True)), tokenizer_config_json=dict(
        added_tokens_decoder={str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in json_file["added_tokens"]}, clean_up_tokenization_spaces=False, do_lower_case=False, model_max_length=512, sp_model_kwargs={}, split_by_punct=False,
        tokenizer_class="DebertaV2Tokenizer", vocab_type="spm", **named))
    add("deberta-v2", "of transformers 5", tokenizer_json=json_file, tokenizer_config_json=dict(add_prefix_space=True, backend="tokenizers", do_lower_case=False, is_local=False, model_max_length=512, split_by_punct=False, tokenizer_class="DebertaV2Tokenizer", unk_id=3, **named))
    for config in (dict(do_lower_case=True), dict(split_by_punct=True), dict(add_prefix_space=False), dict(unk_token="a"), dict(tokenizer_class="DebertaV2TokenizerFast", cls_token="[SEP]", sep_token="[CLS]")):
        add("deberta-v2", json.dumps(config)[:90], tokenizer_json=json_file, tokenizer_config_json=config)
    add("deberta-v2", "as it is", tokenizer_json=json_file, tokenizer_config_json=dict(tokenizer_class="PreTrainedTokenizerFast", pad_token="[PAD]", mask_token="[MASK]"))
    add("modernbert", "published", tokenizer_json=modernbert_json(), special_tokens_map_json=dict(cls_token=TOK("[CLS]", special=False), mask_token=TOK("[MASK]", lstrip=True, special=False), pad_token=TOK("[PAD]", special=False), sep_token=TOK("[SEP]", special=False), unk_token=TOK("[UNK]", special=False)),
        tokenizer_config_json=dict(added_tokens_decoder={str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in modernbert_json()["added_tokens"]}, clean_up_tokenization_spaces=True, cls_token="[CLS]", mask_token="[MASK]", model_input_names=["input_ids", "attention_mask"],
            model_max_length=8192, pad_token="[PAD]", sep_token="[SEP]", tokenizer_class="PreTrainedTokenizerFast", unk_token="[UNK]"))
    add("modernbert", "without tokenizer_config.json", tokenizer_json=modernbert_json())
    add("modernbert", "of transformers 5", tokenizer_json=modernbert_json(), tokenizer_config_json=dict(backend="tokenizers", clean_up_tokenization_spaces=True, cls_token="[CLS]", is_local=False, mask_token="[MASK]", model_input_names=["input_ids", "attention_mask"],
        model_max_length=8192, pad_token="[PAD]", sep_token="[SEP]", tokenizer_class="TokenizersBackend", unk_token="[UNK]"))
    words = "\n".join([*BERT, *WORDS]) + "\n"
    add("electra", "vocab.txt alone", **{"vocab.txt": words})
    add("electra", "of transformers 4", tokenizer_json=bert_json(), tokenizer_config_json=dict(do_lower_case=True, tokenizer_class="ElectraTokenizer"))


def called(t, call):
    """What a call gives, or null where Python refuses it."""
    kw = {k: v for k, v in call.items() if k not in ("text", "text_pair")}
    texts = (call["text"],) if "text_pair" not in call else (call["text"], call["text_pair"])
    try:
        e = t(*texts, return_offsets_mapping=True, return_special_tokens_mask=True, return_token_type_ids=True, **kw)
    except BaseException as error:
        if type(error).__name__ not in ("Exception", "PanicException"):
            raise
        return None
    one = (lambda x: x) if kw.get("return_overflowing_tokens") else (lambda x: [x])
    types = e["token_type_ids"] if "token_type_ids" in t.model_input_names else None
    length = len(one(e["input_ids"]))
    return dict(ids=one(e["input_ids"]), types=types if types is None else one(types), offsets=[[x for pair in o for x in pair] for o in one(e["offset_mapping"])],
                special=one(e["special_tokens_mask"]), sequences=[[-1 if s is None else s for s in e.sequence_ids(i)] for i in range(length)])


def folders_fixture():
    rows, contents = [], []
    for name, files, calls in folders():
        with tempfile.TemporaryDirectory() as folder:
            for file, content in files.items():
                (Path(folder) / file).write_text(content if isinstance(content, str) else json.dumps(content))
            t = AutoTokenizer.from_pretrained(folder)
        plain = [dict(text=line) for line in LINES] + [dict(text=LINES[0], text_pair=LINES[1])] if not calls else []
        batch = t([LINES[1], "tea"], padding=True) if t.pad_token is not None else None
        ids = t(LINES[2])["input_ids"]
        places = {}
        for file, content in files.items():
            if content not in contents:
                contents.append(content)
            places[file] = contents.index(content)
        rows.append(dict(name=name, files=places, max=t.model_max_length if t.model_max_length < 1e12 else None, size=len(t), special=t.special_tokens_map,
                         specials=sorted(set(t.all_special_ids)), batch=None if batch is None else [batch["input_ids"], batch["attention_mask"]],
                         decoded=[t.decode(ids), t.decode(ids, skip_special_tokens=True), t.decode(ids, clean_up_tokenization_spaces=True), t.decode(t(LINES[0])["input_ids"])],
                         calls=[dict(call=call, **(called(t, call) or dict(ids=None))) for call in [*plain, *calls]]))
    return dict(contents=contents, folders=rows)


if __name__ == "__main__":
    (OUT / "parts.json").write_text(json.dumps(parts_fixture(), ensure_ascii=False, separators=(",", ":")))
    (OUT / "folders.json").write_text(json.dumps(folders_fixture(), ensure_ascii=False, separators=(",", ":")))
