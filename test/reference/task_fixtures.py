"""Writes tiny models with data for each task, and what transformers makes of them, to fixtures/tasks/.

    python test/reference/task_fixtures.py

Each folder has a model, its tokenizer, `data.*`, and `expected.json`: `losses` of steps over all of the data at once
(but for masks, which are drawn), and predictions of the first weights.
"""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import torch
from transformers import (
    BertConfig, BertForMaskedLM, BertForMultipleChoice, BertForQuestionAnswering, BertForTokenClassification, BertTokenizer,
    DataCollatorForTokenClassification, FillMaskPipeline, TokenClassificationPipeline,
)

OUT = Path(__file__).parent / "fixtures" / "tasks"
WORDS = """[PAD] [UNK] [CLS] [SEP] [MASK] ann bo oslo new york paris visit sing play ##s ##ed ##er in and the a band
choir river . , ? who where what she he they loves saw met near with from to tall small old ##ville ' house""".split()
STEPS, RATE = 8, 5e-3
TAGS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
rng = random.Random(5)


def model_of(kind, seed, **more):
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=12, num_attention_heads=3, num_hidden_layers=2, intermediate_size=20,
        max_position_embeddings=48, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.4, **more)
    return kind(config).eval()


def folder(name, model, tokenizer):
    place = OUT / name
    place.mkdir(parents=True)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    (place / "tokenizer.json").unlink()
    (place / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return place


def losses(model, batch):
    """AdamW as transformers' Trainer has it, with a constant rate, no decay and gradients clipped to 1."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    out = []
    for _ in range(STEPS):
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        out.append(loss.item())
    return out


def write(place, **expected):
    (place / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def sentence():
    people, places = ["Ann", "Bo", "Ann Bo"], ["Oslo", "New York", "Paris", "Oslo-ville"]
    words, tags = [], []

    def put(text, kind):
        for at, word in enumerate(text.split()):
            words.append(word)
            tags.append("O" if kind is None else f"{'I' if at else 'B'}-{kind}")

    put(rng.choice(people), "PER")
    put(rng.choice(["visited", "sings near", "played with the band in", "saw"]), None)
    put(rng.choice(places), "LOC")
    if rng.random() < 0.5:
        put("and", None)
        put(rng.choice(people), "PER")
    put(".", None)
    return words, tags


def tokens(tokenizer):
    model = model_of(BertForTokenClassification, 3, id2label=dict(enumerate(TAGS)), label2id={t: i for i, t in enumerate(TAGS)})
    place = folder("token-classification", model, tokenizer)
    rows = [sentence() for _ in range(14)]
    (place / "data.conll").write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in zip(*row)) for row in rows))
    texts = [" ".join(words) for words, _ in rows] + ["Ann-Bo visits the choir, New York's old river", "Paris", "Zoë sang 😀 in Oslo"]
    predictions = {}
    for how in ("none", "simple", "first", "average", "max"):
        pipe = TokenClassificationPipeline(model=model, tokenizer=tokenizer, aggregation_strategy=how, device=-1)
        predictions[how] = [
            [dict(type=e.get("entity_group", e.get("entity")), score=float(e["score"]), start=e["start"], end=e["end"]) for e in one]
            for one in pipe(texts)
        ]
    features = []
    for words, tags in rows:
        e = tokenizer(words, is_split_into_words=True)
        ids = e.word_ids()
        e["labels"] = [-100 if w is None or w == ids[i - 1] else TAGS.index(tags[w]) for i, w in enumerate(ids)]
        features.append(e)
    batch = DataCollatorForTokenClassification(tokenizer)(features)
    write(place, texts=texts, predictions=predictions, losses=losses(model, batch),
          input_ids=batch["input_ids"].tolist(), labels=batch["labels"].tolist())


def answers(tokenizer):
    """Features, answers and n-best lists by the rules of transformers' run_qa."""
    model = model_of(BertForQuestionAnswering, 4)
    place = folder("question-answering", model, tokenizer)
    contexts, questions = [], []
    for number in range(5):
        parts = [" ".join(sentence()[0]) for _ in range(2 + number)]
        contexts.append(" ".join(parts))
    contexts[1] = "😀 " + contexts[1]
    for number, context in enumerate(contexts):
        for ask in ("Who sings?", "Where, near the old house, is she from?"):
            words = context.split()
            start = rng.randrange(len(words) - 2)
            text = " ".join(words[start:start + rng.randrange(1, 3)])
            at = len(" ".join(words[:start])) + (1 if start else 0)
            none = rng.random() < 0.25
            questions.append(dict(id=f"q{len(questions)}", question=ask, context=context,
                                  answers=[] if none else [dict(text=text, answer_start=at)]))
    articles = [dict(title="a", paragraphs=[
        dict(context=c, qas=[dict(id=q["id"], question=q["question"], answers=q["answers"], is_impossible=not q["answers"])
                             for q in questions if q["context"] == c]) for c in contexts])]
    (place / "data.json").write_text(json.dumps(dict(version="v2.0", data=articles), indent=1, ensure_ascii=False))
    e = tokenizer([q["question"] for q in questions], [q["context"] for q in questions], truncation="only_second", max_length=32,
                  stride=6, return_overflowing_tokens=True, return_offsets_mapping=True, padding=True, return_tensors="np")
    starts, ends = [], []
    for row, sample in enumerate(e["overflow_to_sample_mapping"]):
        places, inside = e["offset_mapping"][row], [i for i, s in enumerate(e.sequence_ids(row)) if s == 1]
        answer = (questions[sample]["answers"] or [None])[0]
        start = end = 0
        if answer is not None:
            a, b = answer["answer_start"], answer["answer_start"] + len(answer["text"])
            if places[inside[0]][0] <= a and places[inside[-1]][1] >= b:
                start = max(i for i in inside if places[i][0] <= a)
                end = min(i for i in inside if places[i][1] >= b)
        starts.append(start)
        ends.append(end)
    inputs = {k: torch.tensor(e[k]) for k in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad():
        out = model(**inputs)
    rankings = {}
    for may_be_none in (False, True):
        rankings["v2" if may_be_none else "v1"] = [
            ranked(q["context"], [r for r, s in enumerate(e["overflow_to_sample_mapping"]) if s == n], e,
                   out.start_logits.numpy(), out.end_logits.numpy(), may_be_none)
            for n, q in enumerate(questions)]
    batch = inputs | dict(start_positions=torch.tensor(starts), end_positions=torch.tensor(ends))
    write(place, input_ids=[[i for i, m in zip(*r) if m] for r in zip(e["input_ids"].tolist(), e["attention_mask"].tolist())],
          starts=starts, ends=ends, samples=e["overflow_to_sample_mapping"].tolist(), rankings=rankings, losses=losses(model, batch))


def ranked(context, rows, e, start_logits, end_logits, may_be_none, n_best=20, longest=30):
    found, null = [], None
    for row in rows:
        sequence = e.sequence_ids(row)
        places = [p if s == 1 else None for p, s in zip(e["offset_mapping"][row].tolist(), sequence)]
        score = start_logits[row][0] + end_logits[row][0]
        if null is None or score < null["score"]:
            null = dict(offsets=(0, 0), score=score)
        for i in np.argsort(start_logits[row])[-1:-n_best - 1:-1].tolist():
            for j in np.argsort(end_logits[row])[-1:-n_best - 1:-1].tolist():
                if i < len(places) and j < len(places) and places[i] and places[j] and j >= i and j - i + 1 <= longest:
                    found.append(dict(offsets=(places[i][0], places[j][1]), score=start_logits[row][i] + end_logits[row][j]))
    kept = sorted(found + ([null] if may_be_none else []), key=lambda x: x["score"], reverse=True)[:n_best]
    if may_be_none and not any(p["offsets"] == (0, 0) for p in kept):
        kept.append(null)
    scores = np.array([p["score"] for p in kept])
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    texts = [context[a:b] for a, b in (p["offsets"] for p in kept)]
    best = texts[0]
    if may_be_none:
        at = next(i for i, text in enumerate(texts) if text != "")
        best = "" if null["score"] - kept[at]["score"] > 0 else texts[at]
    return dict(answer=best, nbest=[[text, float(share)] for text, share in zip(texts, shares)][:5])


def choices(tokenizer):
    model = model_of(BertForMultipleChoice, 6)
    place = folder("multiple-choice", model, tokenizer)
    rows = []
    for number in range(9):
        first = " ".join(sentence()[0])
        rows.append(dict(sent1=first, sent2=rng.choice(["She", "He", "They"]),
                         **{f"ending{i}": rng.choice(["sings.", "saw the old river, and a tall house.", "loves Oslo.", "met Bo"]) for i in range(3)},
                         label=rng.randrange(3)))
    lines = [",".join(f'"{v}"' for v in row.values()) for row in rows]
    (place / "data.csv").write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    first = [row["sent1"] for row in rows for _ in range(3)]
    second = [f"{row['sent2']} {row[f'ending{i}']}" for row in rows for i in range(3)]
    flat = tokenizer(first, second, padding=True, return_tensors="pt")
    batch = {k: v.view(len(rows), 3, -1) for k, v in flat.items()} | dict(labels=torch.tensor([row["label"] for row in rows]))
    with torch.no_grad():
        scores = model(**batch).logits.softmax(-1)
    write(place, scores=scores.tolist(), losses=losses(model, batch))


def masks(tokenizer):
    model = model_of(BertForMaskedLM, 8)
    place = folder("fill-mask", model, tokenizer)
    (place / "data.txt").write_text("\n".join(" ".join(sentence()[0]) for _ in range(20)) + "\n")
    texts = ["Ann [MASK] near Oslo.", "[MASK] sings in [MASK] York.", "the [MASK]"]
    fills = FillMaskPipeline(model=model, tokenizer=tokenizer, top_k=3, device=-1)(texts)
    write(place, texts=texts, fills=fills)


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    vocab = OUT / "vocab.txt"
    vocab.write_text("\n".join(WORDS) + "\n")
    tokenizer = BertTokenizer(vocab={w: i for i, w in enumerate(WORDS)}, model_max_length=48)
    vocab.unlink()
    tokens(tokenizer)
    answers(tokenizer)
    choices(tokenizer)
    masks(tokenizer)
