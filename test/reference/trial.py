"""The Python side of trial.ts: fine-tunes on the same rows in the same order, from the same new weights, with
transformers and PyTorch.

    python test/reference/trial.py trials [sst2 mrpc …]       # every run.json under trials/; writes python.json beside
    python test/reference/trial.py trials --table             # the Markdown table of all that is there
    python test/reference/trial.py --compare saved vectors.jsonl

A loop as transformers' Trainer has it: AdamW without decay of biases and LayerNorm, a linear schedule with
warm-up, gradients clipped to norm 1, dropout on. Features, labels and metrics are those of run_glue, run_ner,
run_qa and sentence-transformers. --compare reads a folder of embeddings that dawngrad saved, and JSON lines
of its vectors, and prints the largest difference. Entities need seqeval 1.2.2.
"""

import argparse
import collections
import csv
import json
import math
import re
import string
import time
import traceback
from pathlib import Path

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score
from transformers import (
    AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer,
    DataCollatorForTokenClassification, DataCollatorWithPadding, Trainer, get_linear_schedule_with_warmup, set_seed,
)


def table(path):
    """Rows of a TSV with a header; no quoting, as GLUE's files have bare double quotes."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def jsonl(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def trec(path):
    return [line.split("\t") for line in Path(path).read_text().splitlines() if line]


def conll(path):
    rows, words, tags = [], [], []
    for line in [*Path(path).read_text().split("\n"), ""]:
        if line.strip():
            word, tag = line.split("\t")
            words.append(word)
            tags.append(tag.strip())
        elif words:
            rows.append((words, tags))
            words, tags = [], []
    return rows


def squad(path):
    return [dict(question=qa["question"], context=paragraph["context"], answers=qa["answers"])
            for article in json.loads(Path(path).read_text())["data"] for paragraph in article["paragraphs"] for qa in paragraph["qas"]]


# For each task of texts and labels: (text, pair or None, label) of each row.
READERS = {
    "sst2": lambda path: [(r["sentence"], None, r["label"]) for r in table(path)],
    "mrpc": lambda path: [(r["#1 String"], r["#2 String"], r["Quality"]) for r in table(path)],
    "stsb": lambda path: [(r["sentence1"], r["sentence2"], float(r["score"])) for r in table(path)],
    "trec": lambda path: [(text, None, coarse) for coarse, _, text in trec(path)],
    "trec-labels": lambda path: [(r["text"], None, r["labels"]) for r in jsonl(path)],
}


class Texts:
    """Classes, several labels, or values, as in run_glue."""

    def __init__(self, run, tokenizer):
        read = READERS[run["task"]]
        rows, dev = read(run["train"]), read(run["eval"])
        first = rows[0][2]
        self.kind = ("regression" if isinstance(first, float) else
                     "multi_label_classification" if isinstance(first, list) else "single_label_classification")
        # Classes are those of the whole file, of which the first rows are trained on.
        self.names = [] if self.kind == "regression" else sorted({n for r in rows for n in (r[2] if isinstance(first, list) else [r[2]])})
        self.tokenizer = tokenizer
        self.length = run["args"]["maxLength"]
        self.train = [self.feature(row) for row in rows[:run["rows"]]]
        self.dev = [self.feature(row) for row in dev]
        self.collate = DataCollatorWithPadding(tokenizer)

    def feature(self, row):
        text, pair, label = row
        e = dict(self.tokenizer(text, pair, truncation=True, max_length=self.length))
        if self.kind == "multi_label_classification":
            label = [float(name in label) for name in self.names]
        elif self.kind == "single_label_classification":
            label = self.names.index(label)
        return e | dict(label=label)

    def model(self, folder):
        return AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=max(1, len(self.names)), problem_type=self.kind, dtype=torch.float32)

    def metrics(self, outputs):
        logits = np.concatenate([o.logits.numpy() for o in outputs])
        gold = np.array([f["label"] for f in self.dev])
        if self.kind == "regression":
            return dict(pearson=pearsonr(logits[:, 0], gold)[0], spearman=spearmanr(logits[:, 0], gold)[0])
        if self.kind == "multi_label_classification":
            guess = (logits > 0).astype(float)
            return dict(accuracy=accuracy_score(gold, guess), f1=f1_score(gold, guess, average="micro"))
        guess = logits.argmax(-1)
        f1 = f1_score(gold, guess) if len(self.names) == 2 else f1_score(gold, guess, average="macro")
        return dict(accuracy=accuracy_score(gold, guess), f1=f1)


class Tags:
    """Words with tags, as in run_ner: a word's first token has its tag; entities are counted by seqeval."""

    def __init__(self, run, tokenizer):
        rows, dev = conll(run["train"]), conll(run["eval"])
        self.names = sorted({tag for _, tags in rows for tag in tags})
        self.tokenizer, self.length = tokenizer, run["args"]["maxLength"]
        self.train = [self.feature(row) for row in rows[:run["rows"]]]
        self.dev = [self.feature(row) for row in dev]
        self.collate = DataCollatorForTokenClassification(tokenizer)

    def feature(self, row):
        words, tags = row
        e = self.tokenizer(words, is_split_into_words=True, truncation=True, max_length=self.length)
        ids = e.word_ids()
        labels = [-100 if w is None or w == ids[i - 1] else self.names.index(tags[w]) for i, w in enumerate(ids)]
        return dict(e) | dict(labels=labels)

    def model(self, folder):
        return AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(self.names), dtype=torch.float32)

    def metrics(self, outputs):
        from seqeval.metrics import f1_score as entity_f1, precision_score, recall_score
        guesses = [row for o in outputs for row in o.logits.argmax(-1).tolist()]
        gold, found = [], []
        for feature, guess in zip(self.dev, guesses):
            kept = [i for i, label in enumerate(feature["labels"]) if label != -100]
            gold.append([self.names[feature["labels"][i]] for i in kept])
            found.append([self.names[guess[i]] for i in kept])
        return dict(f1=entity_f1(gold, found), precision=precision_score(gold, found), recall=recall_score(gold, found))


def normal(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def overlap(gold, guess):
    a, b = normal(gold), normal(guess)
    if not a or not b:
        return float(a == b)
    same = sum((collections.Counter(a) & collections.Counter(b)).values())
    return 2 * same / (len(a) + len(b))


class Answers:
    """Spans of contexts, as in run_qa; exact match and F1 as in SQuAD's script."""

    def __init__(self, run, tokenizer):
        self.tokenizer, self.args = tokenizer, run["args"]
        self.questions = squad(run["eval"])[:run["tests"]]
        self.train = self.features(squad(run["train"])[:run["rows"]])
        self.dev = self.features(self.questions)
        self.keep = ("input_ids", "token_type_ids", "attention_mask", "start_positions", "end_positions")

    def features(self, questions):
        e = self.tokenizer([q["question"] for q in questions], [q["context"] for q in questions], truncation="only_second",
                           max_length=self.args["maxLength"], stride=self.args["docStride"], return_overflowing_tokens=True,
                           return_offsets_mapping=True)
        found = []
        for row, sample in enumerate(e["overflow_to_sample_mapping"]):
            places = [p if s == 1 else None for p, s in zip(e["offset_mapping"][row], e.sequence_ids(row))]
            inside = [i for i, p in enumerate(places) if p]
            answer = questions[sample]["answers"][0]
            a, b = answer["answer_start"], answer["answer_start"] + len(answer["text"])
            start = end = 0
            if places[inside[0]][0] <= a and places[inside[-1]][1] >= b:
                start = max(i for i in inside if places[i][0] <= a)
                end = min(i for i in inside if places[i][1] >= b)
            found.append({k: e[k][row] for k in ("input_ids", "token_type_ids", "attention_mask")}
                         | dict(start_positions=start, end_positions=end, places=places, sample=sample))
        return found

    def collate(self, features):
        batch = self.tokenizer.pad([{k: f[k] for k in self.keep[:3]} for f in features], return_tensors="pt")
        return batch | {k: torch.tensor([f[k] for f in features]) for k in self.keep[3:]}

    def model(self, folder):
        return AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float32)

    def metrics(self, outputs):
        logits = [(s, e) for o in outputs for s, e in zip(o.start_logits.numpy(), o.end_logits.numpy())]
        best = [(-math.inf, "")] * len(self.questions)
        for feature, (starts, ends) in zip(self.dev, logits):
            sample, places = feature["sample"], feature["places"]
            for i in np.argsort(starts[:len(places)])[::-1][:20]:
                for j in np.argsort(ends[:len(places)])[::-1][:20]:
                    if places[i] and places[j] and i <= j < i + 30 and starts[i] + ends[j] > best[sample][0]:
                        best[sample] = (starts[i] + ends[j], self.questions[sample]["context"][places[i][0]:places[j][1]])
        pairs = [([a["text"] for a in q["answers"]], guess) for q, (_, guess) in zip(self.questions, best)]
        return dict(exact_match=100 * np.mean([max(normal(a) == normal(guess) for a in gold) for gold, guess in pairs]),
                    f1=100 * np.mean([max(overlap(a, guess) for a in gold) for gold, guess in pairs]))


def loop(model, parameters, batches, loss_of, args):
    """The loss of each step."""
    decay = set(Trainer.get_decay_parameter_names(None, model))
    parameters = list(parameters)
    groups = [dict(params=[p for n, p in parameters if n in decay], weight_decay=args["weightDecay"]),
              dict(params=[p for n, p in parameters if n not in decay], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=args["lr"], betas=(0.9, 0.999), eps=1e-8)
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(args["warmupRatio"] * len(batches)), len(batches))
    model.train()
    losses = []
    for batch in batches:
        loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    model.eval()
    return losses


def batches_of(run, count):
    size = run["args"]["batchSize"]
    for order in run["orders"]:
        if sorted(order) != list(range(count)):
            raise SystemExit(f"{run['task']}: {count} features here, and {len(order)} in run.json")
    batches = [order[at:at + size] for order in run["orders"] for at in range(0, count, size)]
    most = run["args"].get("maxSteps", -1)
    return batches[:most] if most > 0 else batches


def head_task(run):
    tokenizer = AutoTokenizer.from_pretrained(run["model"])
    kind = {"wnut17": Tags, "xquad": Answers}.get(run["task"], Texts)
    task = kind(run, tokenizer)
    set_seed(run["seed"])
    model = task.model(run["model"])
    with torch.no_grad():
        for name, values in run["initial"].items():
            parameter = model.get_parameter(name)
            parameter.copy_(torch.tensor(values).view_as(parameter))
    batches = batches_of(run, len(task.train))
    losses = loop(model, model.named_parameters(), batches,
                  lambda rows: model(**task.collate([task.train[row] for row in rows])).loss, run["args"])
    with torch.no_grad():
        outputs = [model(**task.collate(task.dev[at:at + 32])) for at in range(0, len(task.dev), 32)]
    return losses, task.metrics(outputs)


def embeddings(run):
    from sentence_transformers import SentenceTransformer, losses
    set_seed(run["seed"])
    model = SentenceTransformer(run["model"], device="cpu")
    model.max_seq_length = run["args"]["maxLength"]
    train, dev = READERS["stsb"](run["train"])[:run["rows"]], READERS["stsb"](run["eval"])
    loss = losses.CosineSimilarityLoss(model)

    def loss_of(rows):
        batch = [train[row] for row in rows]
        features = [model.preprocess([pair[column] for pair in batch]) for column in range(2)]
        return loss(features, torch.tensor([pair[2] / 5 for pair in batch]))

    def metrics():
        a, b = (model.encode([pair[column] for pair in dev]) for column in range(2))
        cosines, gold = model.similarity_pairwise(a, b).numpy(), [pair[2] for pair in dev]
        return dict(pearson_cosine=pearsonr(cosines, gold)[0], spearman_cosine=spearmanr(cosines, gold)[0])

    before = metrics()
    curve = loop(model, model.named_parameters(), batches_of(run, len(train)), loss_of, run["args"])
    return curve, metrics() | {f"{name}_before": value for name, value in before.items()}


def compare(folder, lines):
    from sentence_transformers import SentenceTransformer
    given = jsonl(lines)
    vectors = SentenceTransformer(folder, device="cpu").encode([row["text"] for row in given])
    difference = torch.tensor(vectors) - torch.tensor([row["embedding"] for row in given])
    print(json.dumps({"texts": len(given), "largest_difference": difference.abs().max().item()}))


def cell(values, percent):
    values = [v * percent for v in values]
    return f"{np.mean(values):.1f} [{min(values):.1f}, {max(values):.1f}]"


def markdown(root):
    """Mean, least and greatest of the seeds, in percent, with the seeds that both sides have."""
    found = collections.defaultdict(list)
    for path in sorted(root.glob("*/seed-*/python.json")):
        run, python = json.loads((path.parent / "run.json").read_text()), json.loads(path.read_text())
        if "dawngrad" in run:
            found[run["task"]].append((run, python))
    print("| data | training texts | steps | tests | metric | dawngrad | Python | seeds |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for task, both in found.items():
        run = both[0][0]
        for at, name in enumerate(run["shown"]):
            percent = 1 if task == "xquad" else 100
            ours, theirs = (cell([side[name] for side in sides], percent)
                            for sides in ([r["dawngrad"] for r, _ in both], [p["metrics"] for _, p in both]))
            front = [task, str(run["rows"]), str(both[0][1]["steps"]), str(run["tests"])] if at == 0 else [""] * 4
            print("| " + " | ".join([*front, name, ours, theirs, str(len(both))]) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", nargs="?", type=Path, help="the folder that trial.ts wrote")
    parser.add_argument("tasks", nargs="*", help="which of them, in this order; default: all")
    parser.add_argument("--table", action="store_true", help="print the table instead")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compare", nargs=2, metavar=("FOLDER", "JSONL"))
    options = parser.parse_args()
    if options.compare:
        return compare(*options.compare)
    if options.trials is None:
        parser.error("give the folder that trial.ts wrote")
    if options.table:
        return markdown(options.trials)
    torch.set_num_threads(options.threads)
    paths = sorted(path for task in options.tasks or ["*"] for path in options.trials.glob(f"{task}/seed-*/run.json"))
    order = {task: at for at, task in enumerate(options.tasks)}
    for path in sorted(paths, key=lambda p: (p.parent.name, order.get(p.parent.parent.name, 0))):
        out = path.parent / "python.json"
        if out.exists():
            continue
        run = json.loads(path.read_text())
        begin = time.perf_counter()
        try:
            losses, metrics = (embeddings if run["args"].get("task") == "sentence-similarity" else head_task)(run)
        except Exception:
            traceback.print_exc()
            continue
        metrics = {name: float(value) for name, value in metrics.items()}
        result = dict(metrics=metrics, steps=len(losses), seconds=time.perf_counter() - begin, torch=torch.__version__, losses=losses)
        out.write_text(json.dumps(result))
        print(json.dumps(dict(task=run["task"], seed=run["seed"], seconds=round(result["seconds"]), python=metrics, dawngrad=run.get("dawngrad"))), flush=True)


if __name__ == "__main__":
    main()
