"""Twenty steps of other optimizers than AdamW on bert-single, with the batches of its curve.

Writes fixtures/optimizers.json. Lion is the paper's formula (Chen et al., 2023, algorithm 2).
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

HERE = Path(__file__).parent / "fixtures"
FOLDER = HERE / "models" / "bert-single"


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                direction = torch.sign(b1 * m + (1 - b1) * p.grad)
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction, alpha=group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


def curve(make):
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER, attn_implementation="eager").double()
    model.train()
    data = json.loads((FOLDER / "curve.json").read_text())
    decay = json.loads((HERE / "models" / "optim.json").read_text())["weight_decay"]["bert-single"]["decay"]
    named = dict(model.named_parameters())
    optimizer = make([dict(params=[p for n, p in named.items() if n in decay], weight_decay=0.1),
                      dict(params=[p for n, p in named.items() if n not in decay], weight_decay=0.0)])
    losses = []
    for step in range(20):
        inputs = {k: torch.tensor(v) for k, v in data["batches"][step % 5].items()}
        loss = model(**inputs, labels=torch.tensor(data["labels"][step % 5])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    return losses


if __name__ == "__main__":
    torch.set_num_threads(1)
    out = dict(lion=dict(lr=3e-4, betas=[0.9, 0.99], losses=curve(lambda groups: Lion(groups, lr=3e-4))))
    (HERE / "optimizers.json").write_text(json.dumps(out) + "\n")
