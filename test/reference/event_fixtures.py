"""Events as tensorboard writes them, into fixtures/events.json; with a folder as argument, prints what it reads there."""

import io
import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

CASES = [
    dict(wall=1.5, step=300, entry=dict(loss=0.25, learning_rate=5e-5, epoch=1.2, step=300),
         tags={"train/loss": 0.25, "train/learning_rate": 5e-5, "train/epoch": 1.2}),
    dict(wall=1700000000.25, step=70000, entry=dict(eval_loss=0.125, eval_f1=None, eval_accuracy=1, step=70000),
         tags={"eval/loss": 0.125, "eval/accuracy": 1}),
]


def record(case):
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in case["tags"].items()]
    event = Event(wall_time=case["wall"], step=case["step"], summary=Summary(value=values))
    out = io.BytesIO()
    RecordWriter(out).write(event.SerializeToString())
    return out.getvalue().hex()


if len(sys.argv) > 1:
    events = EventAccumulator(sys.argv[1])
    events.Reload()
    print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
else:
    out = [dict(wall=c["wall"], entry=c["entry"], record=record(c)) for c in CASES]
    (Path(__file__).parent / "fixtures" / "events.json").write_text(json.dumps(out) + "\n")
