"""Twenty steps of other optimizers than AdamW on bert-single, with the batches of its curve.

Writes fixtures/optimizers.json. Lion is the paper's formula (Chen et al., 2023, algorithm 2); Adafactor is that of
transformers with what its Trainer sets. Its steps on matrices and vectors of their own are kept as well.
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification
from transformers.optimization import Adafactor

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


def adafactor(params, lr):
    return Adafactor(params, lr=lr, scale_parameter=False, relative_step=False)


def adafactor_steps():
    """Values and states after steps with gradients of very different sizes, among them zeros."""
    generator = torch.Generator().manual_seed(7)
    shapes = [[5, 3], [70, 3], [4, 70], [1, 9], [9, 1], [1], [130]]
    draw = lambda shape: torch.randn(shape, generator=generator)
    params = [torch.nn.Parameter(draw(shape)) for shape in shapes]
    start = [p.detach().flatten().tolist() for p in params]
    optimizer = Adafactor([dict(params=params[:3], weight_decay=0.1), dict(params=params[3:], weight_decay=0.0)],
                          lr=0.01, scale_parameter=False, relative_step=False)
    gradients = []
    for step in range(4):
        for p in params:
            p.grad = draw(p.shape) * 10.0 ** (step - 2)
            if p.dim() > 1 and step == 1:
                p.grad[0] = 0
        gradients.append([p.grad.flatten().tolist() for p in params])
        optimizer.step()
    round_all = lambda lists: [[float(f"{x:.8g}") for x in one] for one in lists]
    keys = ["exp_avg_sq", "exp_avg_sq_row", "exp_avg_sq_col"]
    states = [{k: [float(f"{x:.8g}") for x in optimizer.state[p][k].flatten().tolist()]
               for k in keys if k in optimizer.state[p]} for p in params]
    return dict(shapes=shapes, start=round_all(start), gradients=[round_all(g) for g in gradients],
                values=round_all(p.detach().flatten().tolist() for p in params), states=states)


if __name__ == "__main__":
    torch.set_num_threads(1)
    out = dict(
        lion=dict(lr=3e-4, betas=[0.9, 0.99], losses=curve(lambda groups: Lion(groups, lr=3e-4))),
        adafactor=dict(lr=1e-3, losses=curve(lambda groups: adafactor(groups, 1e-3)), steps=adafactor_steps()),
    )
    (HERE / "optimizers.json").write_text(json.dumps(out) + "\n")
