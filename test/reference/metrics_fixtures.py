"""Writes random predictions and scikit-learn's metrics of them to fixtures/metrics.json.

    python test/reference/metrics_fixtures.py
"""

import json
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn import metrics as m

rng = np.random.default_rng(3)
cases = []
for n, classes in ((40, 2), (60, 3), (100, 6), (7, 2)):
    labels = rng.integers(0, classes, n)
    logits = np.round(rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels], 1).astype(np.float32)
    p = logits.argmax(1)
    soft = np.exp(logits.astype(float))
    soft /= soft.sum(1, keepdims=True)
    averages = ["macro", "micro", "weighted"] + (["binary"] if classes == 2 else [])
    cases.append(dict(
        classes=classes, labels=labels.tolist(), logits=logits.ravel().tolist(),
        accuracy=m.accuracy_score(labels, p), confusion=m.confusion_matrix(labels, p, labels=range(classes)).tolist(),
        matthews=m.matthews_corrcoef(labels, p),
        averages={a: list(m.precision_recall_fscore_support(labels, p, average=a, zero_division=0)[:3]) for a in averages},
        auc=m.roc_auc_score(labels, soft[:, 1]) if classes == 2 else m.roc_auc_score(labels, soft, multi_class="ovr"),
    ))
a = np.round(rng.normal(size=50), 1)
b = np.round(a + rng.normal(size=50), 1)
indicators = rng.integers(0, 2, (30, 4))
scores = (rng.normal(size=(30, 4)) + indicators).astype(np.float32)
hard = (scores > 0).astype(int)
p, r, f, _ = m.precision_recall_fscore_support(indicators, hard, average="micro", zero_division=0)

# Classes that occur nowhere, or only on one side; a class that is never right; one class throughout.
edges = []
for classes, labels, p_ in (
    (3, [0, 1, 0, 1], [0, 1, 1, 1]),
    (4, [0, 2, 2, 0], [0, 2, 3, 0]),
    (3, [0, 1, 2, 2], [1, 0, 2, 2]),
    (2, [0, 0, 0], [0, 0, 0]),
    (2, [1, 1, 0], [0, 0, 1]),
    (2, [0, 1, 1], [0, 0, 0]),
):
    averages = ["macro", "micro", "weighted"] + (["binary"] if classes == 2 else [])
    edges.append(dict(
        classes=classes, labels=labels, predictions=p_, matthews=m.matthews_corrcoef(labels, p_),
        averages={a_: list(m.precision_recall_fscore_support(labels, p_, average=a_, zero_division=0)[:3]) for a_ in averages},
    ))
tied_labels, tied_scores = [0, 1, 1, 0, 1, 0, 0], [0.5, 0.5, 0.5, 0.1, 0.9, 0.9, 0.1]
out = dict(
    cases=cases, edges=edges,
    tied=dict(labels=tied_labels, scores=tied_scores, auc=m.roc_auc_score(tied_labels, tied_scores)),
    correlation=dict(a=a.tolist(), b=b.tolist(), pearson=stats.pearsonr(a, b)[0], spearman=stats.spearmanr(a, b)[0],
                     mse=m.mean_squared_error(a, b), mae=m.mean_absolute_error(a, b)),
    multi=dict(labels=indicators.ravel().tolist(), logits=scores.ravel().tolist(), accuracy=m.accuracy_score(indicators, hard),
               precision=p, recall=r, f1=f, f1_macro=m.f1_score(indicators, hard, average="macro", zero_division=0),
               roc_auc=m.roc_auc_score(indicators, scores, average="micro")),
)
(Path(__file__).parent / "fixtures" / "metrics.json").write_text(json.dumps(out))
