"""Reads adapters that the engine saved with PEFT and sentence-transformers, and compares logits and vectors.

    python check_peft.py FOLDER...

Each folder holds an adapter whose base_model_name_or_path is a folder, and logits.json: the task, the inputs, and the
engine's logits for them, or texts and their vectors (`npx tsx test/reference/write_adapters.ts OUT` writes such folders).
"""

import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
import transformers.integrations.peft
from peft import PeftModel
from sentence_transformers import SentenceTransformer

CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    None: "AutoModelForMaskedLM",
}

# transformers 5.24 asks for a PEFT that is not out.
transformers.integrations.peft.MIN_PEFT_VERSION = "0.18.0"
torch.set_num_threads(1)
worst = 0.0
for name in sys.argv[1:]:
    folder = pathlib.Path(name)
    case = json.loads((folder / "logits.json").read_text())
    if "vectors" in case:
        found = torch.tensor(SentenceTransformer(str(folder), device="cpu").encode(case["texts"]))
        difference = (found - torch.tensor(case["vectors"])).abs().max().item()
        print(f"{folder.name}: {difference:.2e}")
        if difference > 1e-5:
            sys.exit("vectors differ")
        continue
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
