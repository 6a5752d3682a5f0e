"""Writes random tags and answers, with what seqeval and SQuAD's script make of them, to fixtures/task-metrics.json.

    pip install -r test/reference/requirements-4.txt seqeval   # the last series with SQuAD's script
    python test/reference/task_metrics_fixtures.py
"""

import json
import random
import warnings
from pathlib import Path
from types import SimpleNamespace

from seqeval.metrics import accuracy_score, classification_report
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities
from transformers.data.metrics.squad_metrics import compute_f1, normalize_answer, squad_evaluate

warnings.filterwarnings("ignore")
rng = random.Random(7)


def tag(prefixes):
    prefix = rng.choice(prefixes)
    return "O" if prefix == "O" else f"{prefix}-{rng.choice(['LOC', 'PER', 'a-b'])}"


def sentences(prefixes, count):
    return [[tag(prefixes) for _ in range(rng.randrange(1, 9))] for _ in range(count)]


def changed(rows, prefixes):
    return [[tag(prefixes) if rng.random() < 0.3 else one for one in row] for row in rows]


entities = []
for scheme, prefixes in ((None, "BIO"), (None, "BIESO"), (IOB1, "BIO"), (IOB2, "BIO"), (IOBES, "BIESO"), (BILOU, "BILUO")):
    true = sentences(prefixes, 60)
    guess = changed(true, prefixes)
    strict = {} if scheme is None else dict(mode="strict", scheme=scheme)
    report = classification_report(true, guess, output_dict=True, zero_division=0, **strict)
    found = (
        [get_entities(row) for row in true]
        if scheme is None
        else [[(e.tag, e.start, e.end - 1) for e in row] for row in Entities(true, scheme).entities]
    )
    entities.append(dict(
        scheme=None if scheme is None else {"IOBES": "BIOES"}.get(scheme.__name__, scheme.__name__),
        actual=[" ".join(row) for row in true], predicted=[" ".join(row) for row in guess],
        entities=found, accuracy=accuracy_score(true, guess),
        report={k: [float(v[n]) for n in ("precision", "recall", "f1-score", "support")]
                for k, v in report.items() if k not in ("macro avg", "weighted avg")},
    ))

words = ["the", "The", "a", "an", "cat", "cats,", "(dog)", "42", "über", "thé", "athe", "U.S.", "\u00a0x", "—", "İ", "", "a\u2028the"]


def phrase():
    return " ".join(rng.choice(words) for _ in range(rng.randrange(0, 4)))


squad = []
for version in (1, 2):
    questions = []
    for number in range(60):
        gold = [] if version == 2 and rng.random() < 0.4 else [phrase() for _ in range(rng.randrange(1, 4))]
        guess = rng.choice([*gold, phrase(), "" if version == 2 else phrase()])
        questions.append(dict(answers=gold, prediction=guess, noAnswer=round(rng.uniform(-3, 3), 2)))
    examples = [SimpleNamespace(qas_id=str(i), answers=[dict(text=t) for t in q["answers"]]) for i, q in enumerate(questions)]
    predictions = {str(i): q["prediction"] for i, q in enumerate(questions)}
    null = {str(i): q["noAnswer"] for i, q in enumerate(questions)}
    # No threshold is applied: the predictions are final.
    squad.append(dict(questions=questions, metrics=squad_evaluate(examples, predictions, null, float("inf"))))
texts = [phrase() for _ in range(40)]
normal = [[text, normalize_answer(text)] for text in texts]
f1 = [[a, b, compute_f1(a, b)] for a, b in zip(texts, reversed(texts))]

out = Path(__file__).parent / "fixtures/task-metrics.json"
out.write_text(json.dumps(dict(entities=entities, squad=squad, normal=normal, f1=f1), separators=(",", ":")) + "\n")
