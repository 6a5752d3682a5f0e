"""Writes fixtures/peft/: adapters of PEFT over the tiny models of fixtures/models/.

For each case: the adapter as PEFT saves it, with weights that are not zero, and reference.json with inputs, logits,
the loss, each adapter weight's gradient, and the losses of 20 AdamW steps with the weights' norms after them; and,
over a base whose matrices are rounded to float16, logits, loss and the losses of 20 steps.

    pip install -r requirements.txt peft==0.21.2 && python peft_fixtures.py
"""

import copy
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "fixtures" / "models"
OUT = HERE / "fixtures" / "peft"

CLS = (AutoModelForSequenceClassification, "SEQ_CLS")
TOKEN = (AutoModelForTokenClassification, "TOKEN_CLS")
QA = (AutoModelForQuestionAnswering, "QUESTION_ANS")
MLM = (AutoModelForMaskedLM, None)

CASES = {
    "bert-single": (CLS, "bert-single", {}),
    "bert-token-bias": (TOKEN, "bert-token", dict(r=4, lora_alpha=16, bias="lora_only", use_rslora=True)),
    "bert-qa-all": (QA, "bert-qa", dict(r=2, target_modules=["query", "key", "value", "dense"], bias="all")),
    "bert-mlm-patterns": (
        MLM,
        "bert-mlm",
        dict(
            r=4,
            target_modules=["query", "key", "intermediate.dense"],
            rank_pattern={"layer.1.attention.self.query": 2},
            alpha_pattern={"key": 4},
            exclude_modules=["encoder.layer.0.intermediate.dense"],
        ),
    ),
    "roberta-single": (CLS, "roberta-single", dict(target_modules="all-linear")),
    "xlm-roberta-single": (CLS, "xlm-roberta-single", {}),
    "camembert-single": (CLS, "camembert-single", dict(target_modules=["query", "value"])),
    "distilbert-single": (CLS, "distilbert-single", dict(target_modules=["q_lin", "v_lin", "lin1"])),
    "electra-single": (CLS, "electra-single", {}),
    "albert-single": (CLS, "albert-single", dict(target_modules=["query", "value", "ffn"])),
    "mpnet-single": (CLS, "mpnet-single", dict(target_modules=["q", "v"], bias="all")),
    "modernbert-single": (CLS, "modernbert-single", dict(target_modules=["Wqkv", "Wi"], layers_to_transform=[1])),
    "deberta-v2-single": (CLS, "deberta-v2-single", dict(modules_to_save=["pooler"])),
}


def inputs_of(kind, config):
    torch.manual_seed(1)
    ids = torch.randint(5, min(config.vocab_size, 90), (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    mask[2, 4:] = 0
    pad = config.pad_token_id if config.pad_token_id is not None else 0
    ids = ids.masked_fill(mask == 0, pad)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if kind is CLS:
        labels = {"labels": torch.tensor([1, 0, 2]) % config.num_labels}
    elif kind is QA:
        labels = {"start_positions": torch.tensor([1, 2, 0]), "end_positions": torch.tensor([3, 4, 1])}
    else:
        classes = config.vocab_size if kind is MLM else config.num_labels
        labels = {"labels": torch.where(mask == 1, (ids * 7) % classes, -100)}
    return inputs, labels


def plain(name):
    return name.replace(".default", "").replace(".modules_to_save", "")


def learning(model):
    return {plain(name): p for name, p in model.named_parameters() if p.requires_grad}


def steps(model, inputs, labels):
    optimizer = torch.optim.AdamW(learning(model).values(), lr=1e-3, weight_decay=0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(**inputs, **labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning(model).values(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def logits_of(out):
    logits = out.logits if hasattr(out, "logits") else torch.stack([out.start_logits, out.end_logits])
    return logits.flatten().tolist()


def rounded(kind, base, folder):
    """The adapter over a base whose frozen matrices are rounded to float16, computed in float32."""
    make, _ = kind
    model = make.from_pretrained(MODELS / base, attn_implementation="eager")
    model = PeftModel.from_pretrained(model, folder, is_trainable=True).eval()
    with torch.no_grad():
        for name, module in model.named_modules():
            if "lora_" in name or ".modules_to_save" in name:
                continue
            if isinstance(module, torch.nn.Linear) or module is model.get_input_embeddings():
                module.weight.copy_(module.weight.half().float())
    inputs, labels = inputs_of(kind, model.config)
    out = model(**inputs, **labels)
    return {"logits": logits_of(out), "loss": out.loss.item(), "losses": steps(model, inputs, labels)}


def run(name, kind, base, options):
    make, task = kind
    model = make.from_pretrained(MODELS / base, attn_implementation="eager")
    torch.manual_seed(7)
    model = get_peft_model(model, LoraConfig(task_type=task, **options))
    model.peft_config["default"].base_model_name_or_path = f"../../models/{base}"
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "lora_B" in key:
                p.normal_(std=0.1)
    model.eval()
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    # Saving freezes what it saves.
    copy.deepcopy(model).save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    inputs, labels = inputs_of(kind, model.config)
    out = model(**inputs, **labels)
    out.loss.backward()
    reference = {
        "task": task,
        "base": base,
        "inputs": {k: v.tolist() for k, v in inputs.items()},
        "labels": {k: v.tolist() for k, v in labels.items()},
        "logits": logits_of(out),
        "loss": out.loss.item(),
        "gradients": {k: p.grad.norm().item() for k, p in learning(model).items()},
        "sums": {k: p.grad.sum().item() for k, p in learning(model).items()},
    }
    reference["losses"] = losses = steps(model, inputs, labels)
    with torch.no_grad():
        merged = model.merge_and_unload()(**inputs)
    reference["merged"] = logits_of(merged)
    reference["rounded"] = rounded(kind, base, folder)
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")
    print(name, len(learning(model)), losses[0], losses[-1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, (kind, base, options) in CASES.items():
        run(name, kind, base, options)
