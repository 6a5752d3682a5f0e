"""Fixtures of few-shot classifiers: scikit-learn's heads, setfit's pairs, and a folder with a Dense.

    pip install setfit==1.2.0
    python few_shot_fixtures.py
"""

import json
import shutil
import warnings
from collections import Counter
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense
from setfit.sampler import ContrastiveDataset
from sklearn.linear_model import LogisticRegression

FIXTURES = Path(__file__).parent / "fixtures"
HERE = FIXTURES / "few-shot"
LABELS = [0, 1, 2, 0, 1, 2]


def head(vectors, labels):
    # The solver that comes closest; setfit's (lbfgs) stops at a gradient of 1e-4.
    return LogisticRegression(solver="newton-cholesky", tol=1e-13).fit(vectors, labels)


def pairs(labels, strategy, iterations):
    """How often each pair comes, by the numbers of its texts, and whether it is of one class."""
    texts = [str(at) for at in range(len(labels))]
    rows = list(ContrastiveDataset(texts, labels, False, iterations, strategy))
    counts = Counter("-".join(sorted([row["sentence_1"], row["sentence_2"]])) for row in rows)
    kinds = [row["label"] for row in rows]
    least = {kind: min(counts["-".join(sorted([r["sentence_1"], r["sentence_2"]]))] for r in rows if r["label"] == kind) for kind in (0, 1)}
    return {"alike": kinds.count(1), "other": kinds.count(0), "different": len(counts), "least": [least[0], least[1]]}


def main():
    warnings.simplefilter("ignore")
    shutil.rmtree(HERE, ignore_errors=True)
    expected = json.loads((FIXTURES / "sentence" / "expected.json").read_text())
    texts = expected["texts"][: len(LABELS)]
    model = SentenceTransformer(str(FIXTURES / "sentence" / "model"), device="cpu")
    vectors = model.encode(texts)
    classes = {}
    for count in (2, 3):
        labels = [label % count for label in LABELS]
        fitted = head(vectors, labels)
        classes[count] = {"labels": labels, "proba": fitted.predict_proba(vectors).round(8).tolist()}
    dense = Dense(24, 3, activation_function=torch.nn.Identity())
    fitted = head(vectors, LABELS)
    dense.linear.weight.data = torch.tensor(fitted.coef_, dtype=torch.float32)
    dense.linear.bias.data = torch.tensor(fitted.intercept_, dtype=torch.float32)
    model.append(dense)
    whole = HERE / "whole"
    model.save_pretrained(str(whole), create_model_card=False)
    # The rest is the folder `sentence/model`.
    shutil.move(whole / "3_Dense", HERE / "3_Dense")
    shutil.move(whole / "modules.json", HERE / "modules.json")
    shutil.rmtree(whole)
    found = {
        "texts": texts,
        "classes": classes,
        "logits": [[float(f"{x:.7g}") for x in row] for row in model.encode(texts).tolist()],
        "pairs": {
            name: pairs([0, 0, 0, 1, 1, 2], strategy, iterations)
            for name, strategy, iterations in (
                ("oversampling", "oversampling", None),
                ("undersampling", "undersampling", None),
                ("unique", "unique", None),
                ("4 iterations", "oversampling", 4),
            )
        },
    }
    (HERE / "expected.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
