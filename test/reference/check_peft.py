"""Reads adapters that the engine saved with PEFT, and compares the logits.

    python check_peft.py FOLDER...

Each folder holds an adapter whose base_model_name_or_path is a folder, and logits.json: the task, the inputs, and the
engine's logits for them (`npx tsx test/reference/write_adapters.ts OUT` writes such folders).
"""

import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from peft import PeftModel

CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    None: "AutoModelForMaskedLM",
}

torch.set_num_threads(1)
worst = 0.0
for name in sys.argv[1:]:
    folder = pathlib.Path(name)
    case = json.loads((folder / "logits.json").read_text())
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = getattr(transformers, CLASSES[case["task"]]).from_pretrained(base)
    model = PeftModel.from_pretrained(model, folder).eval()
    inputs = {key: torch.tensor(value) for key, value in case["inputs"].items()}
    with torch.no_grad():
        out = model(**inputs)
    logits = out.logits if hasattr(out, "logits") else torch.stack([out.start_logits, out.end_logits])
    mask = inputs["attention_mask"].flatten() == 1
    difference = (logits.flatten() - torch.tensor(case["logits"])).abs()
    if logits.numel() >= mask.numel():
        two = case["task"] == "QUESTION_ANS"
        difference = difference.reshape(2, -1)[:, mask] if two else difference.reshape(mask.numel(), -1)[mask]
    worst = max(worst, difference.max().item())
    print(f"{folder.name}: {difference.max().item():.2e}")
print(f"largest difference: {worst:.2e}")
sys.exit(worst > 1e-4)
