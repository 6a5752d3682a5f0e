"""Trains each model of fixtures/models/ for twenty steps of AdamW on the batch of its fixture, and writes what the weights become.

    python test/reference/training_steps.py fixtures/models out [name, such as bert-qa, ...]

Writes out/steps.json, with the losses and the names that decay, and out/<name>.safetensors: `weight.<key>` after the last step,
`grad.<key>` of the first step, and `decided.<key>` for weights with elements (0 there) whose gradient is zero in exact arithmetic
at some step, but not as computed (a key's bias, which softmax does not see; a bias before a ReLU that is open for every choice):
what rounding leaves of it, AdamW scales up to whole steps. A training in float64 tells them apart.
"""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, get_linear_schedule_with_warmup

from check_roundtrip import task_of
from model_fixtures import EAGER, decayed, named_parameters, with_distances

STEPS, WARMUP, RATE, DECAY, NORM = 20, 4, 1e-3, 0.1, 0.5
ROUNDING = 1e-10  # of the largest gradient: above what float64 leaves of a zero, below every other gradient


def loaded(folder):
    """(model, what must be open while it computes)"""
    if "relative" not in folder.name:
        return task_of(folder)[0].from_pretrained(folder, **EAGER), nullcontext()
    model = AutoModelForSequenceClassification.from_pretrained(folder, **EAGER)
    patched = with_distances(model)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model, patched


def batch_of(folder, model, dtype):
    """The fixture's inputs with labels, and the targets of a base model's outputs."""
    expected = json.loads((folder / "expected.json").read_text())
    labels = {k: torch.tensor(v) for k, v in expected.get("labels", {}).items()}
    if labels.get("labels", torch.zeros(0, dtype=torch.long)).is_floating_point():
        labels["labels"] = labels["labels"].to(dtype)
    targets = {k.removeprefix("target."): v.to(dtype) for k, v in load_file(folder / "expected.safetensors").items() if k.startswith("target.")}
    return {k: torch.tensor(v) for k, v in expected["inputs"].items()} | labels, targets


def train(folder, dtype):
    """(losses, names that decay, weights, gradients of each step)"""
    model, patched = loaded(folder)
    model.to(dtype).train()
    batch, targets = batch_of(folder, model, dtype)
    named = dict(named_parameters(model))
    decay = set(decayed(model))
    groups = [dict(params=[p for n, p in named.items() if n in decay], weight_decay=DECAY),
              dict(params=[p for n, p in named.items() if n not in decay], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    scheduler = get_linear_schedule_with_warmup(optimizer, WARMUP, STEPS)
    losses, gradients = [], []
    with patched:
        for _ in range(STEPS):
            out = model(**batch)
            loss = sum(torch.nn.functional.mse_loss(out[k], target) for k, target in targets.items()) if targets else out.loss
            loss.backward()
            gradients.append({n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in named.items()})
            losses.append(loss.item())
            torch.nn.utils.clip_grad_norm_(model.parameters(), NORM)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    return losses, sorted(decay & named.keys()), {n: p.detach() for n, p in named.items()}, gradients


def decided_of(name, gradients, exact, limit):
    """1 for each element whose gradient is never zero but for rounding; exactly zero, as of a row that no token uses, is well."""
    kept = torch.ones_like(gradients[0][name])
    for ours, wide in zip(gradients, exact):
        rounding = (wide[name].abs() < limit) & ((wide[name] != 0) | (ours[name] != 0))
        kept[rounding] = 0
    return kept


def written(folder, out):
    losses, decay, weights, gradients = train(folder, torch.float32)
    *_, exact = train(folder, torch.float64)
    limit = ROUNDING * max(values.abs().max().item() for step in exact for values in step.values())
    tensors = {f"weight.{n}": p for n, p in weights.items()} | {f"grad.{n}": p for n, p in gradients[0].items()}
    for name in weights:
        kept = decided_of(name, gradients, exact, limit)
        if not kept.all():
            tensors[f"decided.{name}"] = kept
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / f"{folder.name}.safetensors")
    return dict(losses=losses, decay=decay)


def main():
    models, out, *names = sys.argv[1:]
    out = Path(out)
    out.mkdir(parents=True)  # a folder of the caller's is never emptied
    folders = sorted(path.parent for path in Path(models).glob("*/expected.json"))
    (out / "steps.json").write_text(json.dumps({f.name: written(f, out) for f in folders if not names or f.name in names}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
