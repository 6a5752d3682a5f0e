"""Loads a folder that dawngrad saved with transformers, and compares what both compute.

    python test/reference/check_roundtrip.py folder run.json

run.json: {"logits": [[...]]} with "texts" ([s, ...] or [[s, pair], ...]) or "input_ids", or both; with "input_ids" also
"attention_mask" and "token_type_ids" where the model was given them. With both, AutoTokenizer must give the same ids.
Exit code 0 where nothing is missing or unexpected and every logit is within 1e-4; 1 where not; 2 where an input cannot be used.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

KEYS = ("input_ids", "attention_mask", "token_type_ids")


def tokenized(folder, texts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = texts and isinstance(texts[0], list)
    sides = ([a for a, _ in texts], [b for _, b in texts]) if pairs else (texts,)
    limit = json.loads((Path(folder) / "config.json").read_text())
    positions = limit["max_position_embeddings"] - (limit["pad_token_id"] + 1 if limit["model_type"] == "roberta" else 0)
    return tokenizer(*sides, padding="longest", truncation=True, max_length=min(positions, tokenizer.model_max_length))


def compare_ids(theirs, run):
    """What differs, one line for each row; the padding may be longer on one side."""
    problems = []
    rows = zip(theirs["input_ids"], theirs["attention_mask"], strict=True)
    for i, (ids, mask) in enumerate(rows):
        ours = run["input_ids"][i]
        our_mask = run.get("attention_mask", [[1] * len(r) for r in run["input_ids"]])[i]
        a = [t for t, m in zip(ids, mask, strict=True) if m]
        b = [t for t, m in zip(ours, our_mask, strict=True) if m]
        if a != b:
            problems.append(f"row {i}: AutoTokenizer gives {a}, the file has {b}")
    return problems


def inputs_of(folder, run):
    """The model's inputs, and what is wrong with the file's own ids."""
    problems = []
    inputs = {key: run[key] for key in KEYS if key in run}
    if "texts" in run:
        theirs = tokenized(folder, run["texts"])
        if "input_ids" not in run:
            inputs = dict(theirs)
        elif len(run["input_ids"]) != len(run["texts"]):
            problems.append(f"{len(run['texts'])} texts, but {len(run['input_ids'])} rows of input_ids")
        else:
            problems += compare_ids(theirs, run)
    return {key: torch.tensor(value) for key, value in inputs.items()}, problems


def check(folder, run, tolerance):
    """(problems, largest difference)"""
    model, info = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    problems = [f"{kind}: {sorted(info[kind])}" for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[kind]]
    inputs, wrong = inputs_of(folder, run)
    problems += wrong
    with torch.no_grad():
        logits = model.eval()(**inputs).logits
    expected = torch.tensor(run["logits"], dtype=torch.float32)
    if logits.shape != expected.shape:
        return [*problems, f"logits are {list(logits.shape)} here, {list(expected.shape)} in the file"], None
    if expected.numel() == 0:
        return [*problems, "the file has no logits"], None
    worst = (logits - expected).abs().max().item()
    # Not `worst > tolerance`: NaN must fail.
    if not worst <= tolerance:
        problems.append(f"logits differ by {worst:.3g}, more than {tolerance:g}")
    return problems, worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("run")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    # A name that is no folder would be looked up on the hub.
    if not Path(options.folder, "config.json").is_file():
        parser.error(f"{options.folder}: no folder with a config.json")
    try:
        run = json.loads(Path(options.run).read_text())
    except (OSError, ValueError) as error:
        parser.error(f"{options.run}: {error}")
    if "logits" not in run or not ("texts" in run or "input_ids" in run):
        parser.error(f"{options.run}: needs 'logits', and 'texts' or 'input_ids'")
    problems, worst = check(options.folder, run, options.tolerance)
    print(json.dumps(dict(ok=not problems, max_difference=worst, rows=len(run["logits"]),
                          tokenizer_checked="texts" in run, problems=problems), indent=1))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
