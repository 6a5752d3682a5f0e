"""Loads a folder that dawngrad saved with transformers, and compares what both compute.

    python test/reference/check_roundtrip.py folder run.json
    python test/reference/check_roundtrip.py --each saved [--again resaved]

With --each: every folder in `saved` with the file `<its name>.json` beside it; prints a line of JSON for each.
--again: saves what was loaded, by save_pretrained, into a folder of the same name there.

run.json: {"logits": [[...]]} (or the outputs of the folder's task: see OUTPUTS) with "texts" ([s, ...] or [[s, pair], ...]) or "input_ids", or both; with "input_ids" also
"attention_mask" and "token_type_ids" where the model was given them. With both, AutoTokenizer must give the same ids.
Exit code 0 where nothing is missing or unexpected and every logit is within 1e-4; 1 where not; 2 where an input cannot be used.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoTokenizer

KEYS = ("input_ids", "attention_mask", "token_type_ids")
# What a class of transformers gives, by the end of its name.
OUTPUTS = {"ElectraForPreTraining": ("logits",), "AlbertForPreTraining": ("prediction_logits", "sop_logits"),
           "BertForPreTraining": ("prediction_logits", "seq_relationship_logits"), "ForMultipleChoice": ("logits",),
           "ForSequenceClassification": ("logits",), "ForTokenClassification": ("logits",), "ForMaskedLM": ("logits",),
           "ForQuestionAnswering": ("start_logits", "end_logits"), "Model": ("last_hidden_state", "pooler_output")}
# Families whose positions begin after the padding id.
PADDED_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")


def tokenized(folder, texts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = texts and isinstance(texts[0], list)
    sides = ([a for a, _ in texts], [b for _, b in texts]) if pairs else (texts,)
    limit = json.loads((Path(folder) / "config.json").read_text())
    offset = limit["pad_token_id"] + 1 if limit["model_type"] in PADDED_POSITIONS else 0
    positions = limit["max_position_embeddings"] - offset
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


def task_of(folder):
    """(class that loads the folder, names of its outputs)"""
    (architecture,) = json.loads(Path(folder, "config.json").read_text())["architectures"]
    ending, outputs = next((e, o) for e, o in OUTPUTS.items() if architecture.endswith(e))
    return getattr(transformers, f"Auto{ending}" if ending == "Model" else f"AutoModel{ending[ending.index('For'):]}"), outputs


def check(folder, run, tolerance, again=None):
    """(problems, largest difference)"""
    auto, names = task_of(folder)
    model, info = auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    problems = [f"{kind}: {sorted(info[kind])}" for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[kind]]
    inputs, wrong = inputs_of(folder, run)
    problems += wrong
    with torch.no_grad():
        outputs = model.eval()(**inputs)
    worst = None
    for name in names:
        if name not in run:
            # Not every base model has a pooler.
            if name != "pooler_output" or outputs.get(name) is not None:
                problems.append(f"the file has no {name}")
            continue
        ours, expected = outputs.get(name), torch.tensor(run[name], dtype=torch.float32)
        if ours is None or ours.shape != expected.shape:
            problems.append(f"{name} are {None if ours is None else list(ours.shape)} here, {list(expected.shape)} in the file")
        elif expected.numel() == 0:
            problems.append(f"the file has no {name}")
        else:
            difference = (ours - expected).abs().max().item()
            # Not `difference > tolerance`: NaN must fail.
            if not difference <= tolerance:
                problems.append(f"{name} differ by {difference:.3g}, more than {tolerance:g}")
            worst = difference if worst is None or not difference <= worst else worst
    if again is not None:
        model.save_pretrained(again)
    return problems, worst


def checked(folder, run_path, options, again=None):
    """What is printed of a folder."""
    run = json.loads(Path(run_path).read_text())
    if not ("texts" in run or "input_ids" in run):
        raise ValueError("needs 'texts' or 'input_ids'")
    problems, worst = check(folder, run, options.tolerance, again)
    return dict(ok=not problems, max_difference=worst, rows=len(run.get("texts", run.get("input_ids"))),
                tokenizer_checked="texts" in run, problems=problems)


def check_each(options):
    """Whether every folder is right. One that cannot be loaded does not keep the others from being checked."""
    right = True
    for folder in sorted(path.parent for path in Path(options.each).glob("*/config.json")):
        again = Path(options.again, folder.name) if options.again else None
        try:
            result = checked(folder, folder.with_suffix(".json"), options, again)
        except Exception as error:
            result = dict(ok=False, max_difference=None, problems=[f"{type(error).__name__}: {error}"])
        print(json.dumps(dict(name=folder.name, **result)), flush=True)
        right = right and result["ok"]
    return right


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("run", nargs="?")
    parser.add_argument("--each", metavar="SAVED")
    parser.add_argument("--again", metavar="RESAVED")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    if options.each:
        sys.exit(0 if check_each(options) else 1)
    if options.run is None:
        parser.error("needs a folder and a run.json, or --each")
    # A name that is no folder would be looked up on the hub.
    if not Path(options.folder, "config.json").is_file():
        parser.error(f"{options.folder}: no folder with a config.json")
    try:
        result = checked(options.folder, options.run, options, options.again)
    except (OSError, ValueError) as error:
        parser.error(f"{options.run}: {error}")
    print(json.dumps(result, indent=1))
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()
