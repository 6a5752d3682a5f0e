"""Writes tiny random checkpoints with transformers, and what PyTorch computes from them, to fixtures/models/.

    python test/reference/model_fixtures.py
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForMaskedLM, AutoModelForQuestionAnswering, AutoModelForSequenceClassification,
    AutoModelForTokenClassification, AutoModel, BertConfig, BertForPreTraining, RobertaConfig,
    get_linear_schedule_with_warmup,
)

OUT = Path(__file__).parent / "fixtures" / "models"
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
BERT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, vocab_size=131,
            max_position_embeddings=40, type_vocab_size=2, pad_token_id=0, initializer_range=0.2)
ROBERTA = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, vocab_size=137,
               max_position_embeddings=34, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
               initializer_range=0.2)
FAMILIES = {"bert": (BertConfig, BERT), "roberta": (RobertaConfig, ROBERTA)}


def config_of(family, **more):
    cls, values = FAMILIES[family]
    return cls(**values, **NO_DROPOUT, **more)


def perturb(model, generator):
    """Moves biases and LayerNorm weights off their trivial start, so that every gradient is far from zero."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    model.tie_weights()
    return model.eval()


def batch(family, lengths, generator, width=None):
    pad = 0 if family == "bert" else 1
    vocab = FAMILIES[family][1]["vocab_size"]
    width = width or max(lengths)
    ids = torch.full((len(lengths), width), pad)
    mask = torch.zeros_like(ids)
    types = torch.zeros_like(ids)
    for row, n in enumerate(lengths):
        ids[row, :n] = torch.randint(5, vocab, (n,), generator=generator)
        mask[row, :n] = 1
        if family == "bert":
            types[row, n // 2:n] = 1
    inputs = dict(input_ids=ids, attention_mask=mask)
    if family == "bert":
        inputs["token_type_ids"] = types
    return inputs


def lists(inputs):
    return {k: v.tolist() for k, v in inputs.items()}


def case(folder, model, inputs, labels):
    """Saves a checkpoint with expected outputs, loss and gradients."""
    model.save_pretrained(OUT / folder)
    out = model(**inputs, **labels)
    out.loss.backward()
    tensors = {}
    for key in ("logits", "start_logits", "end_logits"):
        if getattr(out, key, None) is not None:
            tensors[f"out.{key}"] = getattr(out, key).detach().contiguous()
    for name, p in model.named_parameters():
        tensors[f"grad.{name}"] = (p.grad if p.grad is not None else torch.zeros_like(p)).contiguous()
    save_file(tensors, OUT / folder / "expected.safetensors")
    (OUT / folder / "expected.json").write_text(json.dumps(
        dict(inputs=lists(inputs), labels=lists(labels), loss=out.loss.item())))


def tasks(family):
    g = torch.Generator().manual_seed(7 if family == "bert" else 8)
    torch.manual_seed(11 if family == "bert" else 12)
    inputs = batch(family, [9, 4, 1], g)
    B, L = inputs["input_ids"].shape
    make = lambda auto, **kw: perturb(auto.from_config(config_of(family, **kw)), g)
    seq = AutoModelForSequenceClassification
    case(f"{family}-single", make(seq, num_labels=3), inputs, dict(labels=torch.tensor([2, 0, 1])))
    case(f"{family}-multi", make(seq, num_labels=4, problem_type="multi_label_classification"), inputs,
         dict(labels=torch.randint(0, 2, (B, 4), generator=g).float()))
    case(f"{family}-regression", make(seq, num_labels=1), inputs, dict(labels=torch.tensor([0.5, -1.0, 2.0])))
    token_labels = torch.randint(0, 5, (B, L), generator=g)
    token_labels[inputs["attention_mask"] == 0] = -100
    case(f"{family}-token", make(AutoModelForTokenClassification, num_labels=5), inputs, dict(labels=token_labels))
    case(f"{family}-qa", make(AutoModelForQuestionAnswering), inputs,
         dict(start_positions=torch.tensor([1, 0, 0]), end_positions=torch.tensor([5, 3, 12])))
    mlm_labels = torch.full((B, L), -100)
    mlm_labels[0, 2], mlm_labels[0, 5], mlm_labels[1, 1] = 17, 60, 99
    case(f"{family}-mlm", make(AutoModelForMaskedLM), inputs, dict(labels=mlm_labels))
    base = make(AutoModel)
    base.save_pretrained(OUT / f"{family}-base")
    out = base(**inputs)
    save_file(dict(last_hidden_state=out.last_hidden_state.detach().contiguous(),
                   pooler_output=out.pooler_output.detach().contiguous()), OUT / f"{family}-base" / "expected.safetensors")
    (OUT / f"{family}-base" / "expected.json").write_text(json.dumps(dict(inputs=lists(inputs))))


def curve(family):
    """Twenty steps of AdamW as transformers' Trainer would take them, dropout off."""
    model = AutoModelForSequenceClassification.from_pretrained(OUT / f"{family}-single")
    model.train()
    g = torch.Generator().manual_seed(21)
    batches = [batch(family, torch.randint(2, 14, (4,), generator=g).tolist(), g) for _ in range(5)]
    labels = [torch.randint(0, 3, (4,), generator=g) for _ in range(5)]
    plain = lambda n: n.endswith("bias") or "LayerNorm" in n
    groups = [dict(params=[p for n, p in model.named_parameters() if not plain(n)], weight_decay=0.1),
              dict(params=[p for n, p in model.named_parameters() if plain(n)], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    scheduler = get_linear_schedule_with_warmup(optimizer, 4, 20)
    steps = []
    for step in range(20):
        out = model(**batches[step % 5], labels=labels[step % 5])
        out.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        steps.append(dict(loss=out.loss.item(), norm=norm.item(), lr=scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    (OUT / f"{family}-single" / "curve.json").write_text(json.dumps(
        dict(batches=[lists(b) for b in batches], labels=[l.tolist() for l in labels], steps=steps)))


def report(auto, folder):
    _, info = auto.from_pretrained(folder, output_loading_info=True)
    return dict(missing=sorted(info["missing_keys"]), unexpected=sorted(info["unexpected_keys"]))


def variants():
    """The same weights under old names, in shards, and in 16 bits; and what transformers reports when loading across tasks."""
    torch.manual_seed(31)
    pretraining = perturb(BertForPreTraining(config_of("bert")), torch.Generator().manual_seed(3))
    pretraining.save_pretrained(OUT / "bert-pretraining")
    base = load_file(OUT / "bert-base" / "model.safetensors")
    config = OUT / "bert-base" / "config.json"
    old = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in base.items()}
    prefixed = {f"bert.{k}": v for k, v in old.items()}
    prefixed["bert.embeddings.position_ids"] = torch.arange(40)[None]
    for name, tensors in (("bert-old", old), ("bert-old-prefixed", prefixed),
                          ("bert-bf16", {k: v.bfloat16() for k, v in base.items()}),
                          ("bert-f16", {k: v.half() for k, v in base.items()})):
        folder = OUT / name
        folder.mkdir()
        shutil.copy(config, folder)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    widened = AutoModel.from_pretrained(OUT / "bert-bf16", dtype=torch.float32).eval()
    inputs = json.loads((OUT / "bert-base" / "expected.json").read_text())["inputs"]
    out = widened(**{k: torch.tensor(v) for k, v in inputs.items()})
    save_file(dict(last_hidden_state=out.last_hidden_state.detach().contiguous()), OUT / "bert-bf16" / "expected.safetensors")
    AutoModel.from_pretrained(OUT / "bert-base").save_pretrained(OUT / "bert-sharded", max_shard_size="40KB")
    (OUT / "loading.json").write_text(json.dumps({
        "base to sequence classification": report(AutoModelForSequenceClassification, OUT / "bert-base"),
        "masked LM to sequence classification": report(AutoModelForSequenceClassification, OUT / "bert-mlm"),
        "pretraining to base": report(AutoModel, OUT / "bert-pretraining"),
        "roberta masked LM to token classification": report(AutoModelForTokenClassification, OUT / "roberta-mlm"),
    }, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for family in FAMILIES:
        tasks(family)
        curve(family)
    variants()
