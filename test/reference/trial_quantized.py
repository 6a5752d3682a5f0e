"""What quantization costs: a classifier's exported files, and those of ONNX Runtime's quantizer, on labelled texts.

    pip install onnx onnxruntime tokenizers
    python test/reference/trial_quantized.py model --data validation.tsv

model: a folder with onnx/model.onnx, onnx/model_fp16.onnx and onnx/model_quantized.onnx (dawngrad export --onnx). Beside
them runs what quantize_dynamic makes of model.onnx, by tensor (its default) and by channel. Prints for each file its
size, the largest and the mean difference of a logit to model.onnx, the accuracy, and the seconds of a pass.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer


def logits(path, encodings):
    """[texts, classes], a text at a time, and the seconds that took."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    rows = []
    start = time.perf_counter()
    for encoding in encodings:
        values = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        rows.append(session.run(["logits"], {name: np.array([values[name]], dtype=np.int64) for name in names})[0][0])
    return np.array(rows), time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    with open(options.data, encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch([row["sentence"] for row in table])
    labels = np.array([int(row["label"]) for row in table])
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model / "onnx"
        files = {name: folder / f"{name}.onnx" for name in ("model", "model_fp16", "model_quantized")}
        for name, by_channel in (("quantize_dynamic", False), ("quantize_dynamic, per_channel", True)):
            files[name] = Path(scratch) / f"{by_channel}.onnx"
            quantize_dynamic(files["model"], files[name], weight_type=QuantType.QInt8, per_channel=by_channel)
        reference = None
        for name, path in files.items():
            found, seconds = logits(path, encodings)
            reference = found if reference is None else reference
            off = np.abs(found - reference)
            accuracy = float((found.argmax(1) == labels).mean())
            size = path.stat().st_size / 1e6
            print(
                f"{name:30} {size:6.1f} MB  logits {off.max():.4f} at most, {off.mean():.4f} on average"
                f"  accuracy {accuracy:.4f}  {seconds:.1f} s"
            )


main()
