"""Writes weight files with safetensors, 16-bit conversions of NumPy and PyTorch, and transformers' key reports to fixtures/weights/.

    python test/reference/safetensors_fixtures.py [new folder to write instead]
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining, AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification, BertConfig, RobertaConfig,
)

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "fixtures" / "weights"


def plain():
    """One tensor of each kind, with values that 16 bits hold exactly."""
    row = torch.tensor([[1.5, -2.0, 0.25], [0.0, 65504.0, -0.125]])
    save_file({
        "f32": row, "f16": row.half(), "bf16": torch.tensor([1.5, -2.0, 0.25, -1e30]).bfloat16(),
        "i64": torch.tensor([1, -(2**40), 3]), "i32": torch.tensor([7, -7], dtype=torch.int32),
        "u8": torch.tensor([0, 255, 3], dtype=torch.uint8), "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "größe.重み": torch.tensor([4.0]),
    }, OUT / "plain.safetensors", metadata={"note": "tëst"})


def halves():
    """`f32` with its nearest float16 (`to_f16`, as bits), and halves of all kinds with what they are worth."""
    g = np.random.default_rng(3)
    bits = np.concatenate([np.arange(0, 65536, 37), [0, 1, 0x3FF, 0x400, 0x7BFF, 0x7C00, 0x8000, 0x8001, 0xFBFF, 0xFC00]])
    every = bits.astype(np.uint16).view(np.float16)
    finite = np.sort(g.integers(0, 0x7BFF, 300).astype(np.uint16))
    low, high = finite.view(np.float16).astype(np.float32), (finite + 1).astype(np.uint16).view(np.float16).astype(np.float32)
    middle = ((low.astype(np.float64) + high) / 2).astype(np.float32)  # exact in float32: a tie
    around = [np.nextafter(middle, np.float32(0)), middle, np.nextafter(middle, np.float32(np.inf))]
    special = np.array([0, 65504, 65519.996, 65520, 65536, 1e6, 3.4e38, np.inf, 2**-24, 2**-25, 2**-25 * 1.0001, 2**-26,
                        1e-45, 2**-14, 2**-14 * (1 - 2**-11), 2**-14 * (1 - 2**-12)], dtype=np.float32)
    wide = (g.standard_normal(300) * 10.0 ** g.integers(-9, 6, 300)).astype(np.float32)
    f32 = np.concatenate([*around, special, wide])
    f32 = np.concatenate([f32, -f32])
    with np.errstate(over="ignore"):
        narrow = f32.astype(np.float16)
    assert np.array_equal(narrow, torch.from_numpy(f32).half().numpy())
    bf16 = torch.from_numpy(np.arange(0, 65536, 41).astype(np.int32).astype(np.int16)).view(torch.bfloat16)
    tensors = dict(f32=torch.from_numpy(f32), to_f16=torch.from_numpy(narrow), f16=torch.from_numpy(every.copy()),
                   f16_value=torch.from_numpy(every.astype(np.float32)), bf16=bf16, bf16_value=bf16.float())
    save_file(tensors, OUT / "half.safetensors")


SMALL = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=11)
FAMILIES = {"bert": BertConfig(**SMALL), "roberta": RobertaConfig(**SMALL)}
SOURCES = {"base": AutoModel, "sequence classification": AutoModelForSequenceClassification, "masked LM": AutoModelForMaskedLM,
           "pretraining": AutoModelForPreTraining}
TARGETS = {"base": AutoModel, "sequence classification": AutoModelForSequenceClassification, "masked LM": AutoModelForMaskedLM,
           "question answering": AutoModelForQuestionAnswering}


def old_names(tensors):
    """The names of BERT's first checkpoints, and a buffer they held."""
    renamed = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
               for k, v in tensors.items()}
    prefix = next((k.split(".")[0] + "." for k in tensors if ".embeddings." in k), "")
    renamed[f"{prefix}embeddings.position_ids"] = torch.arange(4)[None]
    return renamed


def names():
    """Each class's keys and which of them share a tensor, each file's keys, and the report of each file in each class."""
    models, files, cases = {}, {}, []
    for family, config in FAMILIES.items():
        for source, make in SOURCES.items():
            if source == "pretraining" and family == "roberta":
                continue
            for style in ("new", "old"):
                file = f"{family} {source}, {style} names"
                with tempfile.TemporaryDirectory() as folder:
                    files[file] = save_style(make.from_config(config), Path(folder), style)
                    for target, cls in TARGETS.items():
                        model, report = cls.from_pretrained(folder, output_loading_info=True)
                        models[f"{family} {target}"] = keys_of(model)
                        cases.append(dict(file=file, model=f"{family} {target}", missing=sorted(report["missing_keys"]),
                                          unexpected=sorted(report["unexpected_keys"])))
    value = dict(models=models, files=files, cases=cases)
    (OUT / "names.json").write_text(json.dumps(value, separators=(",", ":")))


def save_style(model, folder, style):
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    if style == "old":
        tensors = old_names(tensors)
        save_file(tensors, path, metadata={"format": "pt"})
    return list(tensors)


def keys_of(model):
    state = model.state_dict(keep_vars=True)
    shared = {}
    for name, tensor in state.items():
        shared.setdefault(id(tensor), []).append(name)
    ties = [group for group in shared.values() if len(group) > 1]
    return dict(prefix=model.base_model_prefix, expected=list(state), ties=ties)


OUT.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
plain()
halves()
names()
