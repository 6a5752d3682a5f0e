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
out = dict(
    cases=cases,
    correlation=dict(a=a.tolist(), b=b.tolist(), pearson=stats.pearsonr(a, b)[0], spearman=stats.spearmanr(a, b)[0],
                     mse=m.mean_squared_error(a, b)),
    multi=dict(labels=indicators.ravel().tolist(), logits=scores.ravel().tolist(), accuracy=m.accuracy_score(indicators, hard),
               precision=p, recall=r, f1=f, f1_macro=m.f1_score(indicators, hard, average="macro", zero_division=0)),
)
(Path(__file__).parent / "fixtures" / "metrics.json").write_text(json.dumps(out))
