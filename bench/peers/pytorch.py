"""Times training steps of a saved BertForSequenceClassification in PyTorch and transformers, for `npm run bench -- --peers --pytorch`.

    python pytorch.py MODEL_FOLDER BATCH_JSON SECONDS

The batch holds ids and mask (rows of integers), labels, and the optimizer's lr, weightDecay and maxNorm. Prints JSON: versions, and for
each way to run (CPU; CUDA in float32 without TF32, and in bfloat16 autocast) the losses of the first steps and the seconds of later ones.
"""

import copy
import json
import sys
import time
from contextlib import nullcontext

import torch
import transformers
from transformers import AutoModelForSequenceClassification

CHECKED_STEPS = 3


def ways():
    yield "CPU", torch.device("cpu"), False
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        yield f"{name}, float32", torch.device("cuda"), False
        yield f"{name}, bfloat16 autocast", torch.device("cuda"), True


def run(model, batch, device, autocast, seconds):
    model = copy.deepcopy(model).to(device).train()
    rate, decay, norm = batch["lr"], batch["weightDecay"], batch["maxNorm"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)

    def inputs():
        names = {"input_ids": "ids", "attention_mask": "mask", "labels": "labels"}
        return {key: torch.tensor(batch[name]).to(device) for key, name in names.items()}

    def step():
        with torch.autocast("cuda", torch.bfloat16) if autocast else nullcontext():
            loss = model(**inputs()).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), norm)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    losses = [step().item() for _ in range(CHECKED_STEPS)]
    times = []
    begin = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return losses, times


def main():
    folder, batch_file, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    with open(batch_file, encoding="utf-8") as file:
        batch = json.load(file)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    runs = []
    for way, device, autocast in ways():
        losses, times = run(model, batch, device, autocast, seconds)
        runs.append({"way": way, "reduced": autocast, "losses": losses, "seconds": times})
    print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "runs": runs}))


if __name__ == "__main__":
    main()
