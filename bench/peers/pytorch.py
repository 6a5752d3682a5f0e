"""Times training steps and inference of saved BertForSequenceClassification models in PyTorch and transformers.

    python pytorch.py JOBS_JSON

The file holds lr, weightDecay, maxNorm, seconds (for each way to run), compileSeconds (the limit for torch.compile;
0 skips it) and jobs: model (a folder), ids, mask (rows of integers), labels and kinds. Prints one line of JSON with
the versions and the device, then one for each job, kind and way: the first results (losses of the first steps, or
logits) and the seconds of later runs, or an error. Ways: float32 without TF32, and on an accelerator bfloat16 and
float16 autocast; first all of them uncompiled, then compiled.
"""

import copy
import json
import signal
import sys
import time
from contextlib import contextmanager, nullcontext

import torch
import transformers
from transformers import AutoModelForSequenceClassification

CHECKED_STEPS = 3
INPUTS = {"input_ids": "ids", "attention_mask": "mask"}


def accelerator():
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator()
    return torch.device("cpu")


def name_of(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return device.type.upper()


def synchronize(device):
    if device.type != "cpu":
        torch.accelerator.synchronize()


def print_line(**values):
    print(json.dumps(values), flush=True)


@contextmanager
def at_most(seconds):
    """Raises TimeoutError in the body after the given seconds."""

    def stop(*_):
        raise TimeoutError(f"torch.compile took over {seconds:.0f} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def training_step(model, job, options, device, dtype):
    model.train()
    rate, decay = options["lr"], options["weightDecay"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    names = {**INPUTS, "labels": "labels"}

    def step():
        inputs = {key: torch.tensor(job[name]).to(device) for key, name in names.items()}
        with autocast(device, dtype):
            loss = model(**inputs).loss
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), options["maxNorm"])
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return loss

    return step


def inference_step(model, job, _options, device, dtype):
    model.eval()

    @torch.no_grad()
    def step():
        inputs = {key: torch.tensor(job[name]).to(device) for key, name in INPUTS.items()}
        with autocast(device, dtype):
            logits = model(**inputs).logits
        # Copy the logits to the host, as the engine does.
        return logits.float().cpu()

    return step


def autocast(device, dtype):
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def run(model, kind, job, options, device, dtype, compiled):
    model = copy.deepcopy(model).to(device)
    if compiled:
        torch._dynamo.reset()
        model.compile()
    step = (training_step if kind == "training" else inference_step)(model, job, options, device, dtype)
    runs = CHECKED_STEPS if kind == "training" else 1
    with at_most(options["compileSeconds"]) if compiled else nullcontext():
        values = [value for _ in range(runs) for value in step().detach().float().flatten().tolist()]
    times = []
    begin = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < options["seconds"]:
        start = time.perf_counter()
        step()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return {"values": values, "seconds": times}


def main():
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    device = accelerator()
    print_line(torch=torch.__version__, transformers=transformers.__version__, device=name_of(device))
    with open(sys.argv[1], encoding="utf-8") as file:
        options = json.load(file)
    models = [AutoModelForSequenceClassification.from_pretrained(job["model"]) for job in options["jobs"]]
    dtypes = [torch.float32, *([] if device.type == "cpu" else [torch.bfloat16, torch.float16])]
    can_compile = options["compileSeconds"] > 0 and hasattr(signal, "SIGALRM")
    for compiled in [False, True] if can_compile else [False]:
        for number, job in enumerate(options["jobs"]):
            for kind in job["kinds"]:
                for dtype in dtypes:
                    way = str(dtype).removeprefix("torch.") + (", compiled" if compiled else "")
                    about = {"job": number, "kind": kind, "way": way, "reduced": dtype != torch.float32}
                    try:
                        made = run(models[number], kind, job, options, device, dtype, compiled)
                        print_line(**about, **made)
                    except Exception as error:  # Still try the other ways.
                        print_line(**about, error=f"{type(error).__name__}: {error}".split("\n")[0])
                        if isinstance(error, TimeoutError):
                            return


if __name__ == "__main__":
    main()
