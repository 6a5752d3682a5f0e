"""Writes how far training under PyTorch's autocast with float16 strays from float32, to fixtures/half.json.

    python test/reference/half_fixtures.py [another file to write]

The models are those of fixtures/models/ with matrices of an eighth: a layer then adds little to its residual, as in trained models, and what
rounding the residual costs can be seen. On a CPU autocast treats linear layers as on CUDA: LayerNorm and residual sums stay float32.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from model_fixtures import batch

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "fixtures" / "half.json"
MODELS = Path(__file__).parent / "fixtures" / "models"
STEPS, ROWS, BATCHES, RATES, LOSS_SCALE = 24, 6, 4, (1e-3, 2e-3, 4e-3), 65536.0
# Seeds whose curves no lone gradient near zero decides: AdamW's first step goes by its sign, and rounding may turn that.
CASES = {"ReLU, BERT": ("bert", "single", "relu", 81), "ReLU, RoBERTa": ("roberta", "single", "relu", 73),
         "tied masked LM": ("roberta", "mlm", "gelu", 74)}


def data(family, task, seed):
    g = torch.Generator().manual_seed(seed)
    batches = [batch(family, torch.randint(3, 14, (ROWS,), generator=g).tolist(), g) for _ in range(BATCHES)]
    labels = []
    for inputs in batches:
        ids = inputs["input_ids"]
        if task == "mlm":
            chosen = (torch.rand(ids.shape, generator=g) < 0.3) & (inputs["attention_mask"] == 1)
            chosen[:, 1] = True
            labels.append(torch.where(chosen, ids, torch.tensor(-100)))
            inputs["input_ids"] = torch.where(chosen, torch.tensor(4), ids)
        else:
            labels.append(torch.randint(0, 3, (ROWS,), generator=g))
    return batches, labels


class Training:
    def __init__(self, family, task, act, half):
        auto = AutoModelForMaskedLM if task == "mlm" else AutoModelForSequenceClassification
        self.model = auto.from_pretrained(MODELS / f"{family}-{task}", attn_implementation="eager", hidden_act=act).train()
        self.half = half
        with torch.no_grad():
            for p in self.model.parameters():
                if p.dim() == 2:
                    p *= 0.125

    def backward(self, inputs, labels):
        """The loss; gradients without the loss' scale."""
        with torch.autocast("cpu", torch.float16, enabled=self.half):
            logits = self.model(**inputs).logits
        loss = torch.nn.functional.cross_entropy(logits.float().view(-1, logits.shape[-1]), labels.view(-1))
        scale = LOSS_SCALE if self.half else 1.0
        (loss * scale).backward()
        for p in self.model.parameters():
            if p.grad is not None:
                p.grad /= scale
        return loss.item()

    def curve(self, batches, labels, lr):
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr, weight_decay=0.01)
        losses = []
        for step in range(STEPS):
            losses.append(round(self.backward(batches[step % BATCHES], labels[step % BATCHES]), 7))
            assert torch.isfinite(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
            optimizer.step()
            optimizer.zero_grad()
        return losses


def gradient_errors(make, batches, labels):
    """Of each parameter, the norm of float16's gradient less float32's, over the latter's: the geometric mean of all batches."""
    logs = {}
    for inputs, targets in zip(batches, labels):
        whole, half = make(False), make(True)
        whole.backward(inputs, targets)
        half.backward(inputs, targets)
        rounded = dict(half.model.named_parameters())
        for name, p in whole.model.named_parameters():
            # The gradient of a key's bias is zero but for rounding.
            if p.grad is not None and not name.endswith("key.bias"):
                logs.setdefault(name, []).append(((rounded[name].grad - p.grad).norm() / p.grad.norm()).log())
    return {name: float(f"{torch.stack(values).mean().exp():.4g}") for name, values in logs.items()}


def case(family, task, act, seed):
    batches, labels = data(family, task, seed)
    make = lambda half: Training(family, task, act, half)
    curves = [dict(lr=lr, whole=make(False).curve(batches, labels, lr), half=make(True).curve(batches, labels, lr))
              for lr in RATES]
    return dict(folder=f"{family}-{task}", hidden_act=act,
                batches=[{k: v.tolist() for k, v in b.items()} for b in batches], labels=[l.tolist() for l in labels],
                curves=curves, gradient_errors=gradient_errors(make, batches, labels))


if __name__ == "__main__":
    torch.set_num_threads(1)
    OUT.write_text(json.dumps({name: case(*values) for name, values in CASES.items()}))
