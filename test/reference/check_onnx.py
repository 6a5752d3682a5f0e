"""Runs exported ONNX files in ONNX Runtime and compares their outputs with transformers' own (expected.safetensors).

    pip install onnx onnxruntime safetensors
    python test/reference/check_onnx.py exports [test/reference/fixtures/models]

exports: a folder with an exported folder for each fixture, by its name (npm run check:onnx -- exports). Checks each
file with onnx.checker, and prints the largest difference. Exit code 0 where every output of float32 files is within
1e-4, of float16 files within 0.05, and of quantized ones within 0.3; 1 where not.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

LIMITS = {"model": 1e-4, "model_fp16": 0.05, "model_quantized": 0.3}


def difference(path, fixture):
    """The largest difference of a file's outputs on the fixture's batch."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = json.loads((fixture / "expected.json").read_text())["inputs"]
    expected = load_file(fixture / "expected.safetensors")
    zeros = np.zeros_like(inputs["input_ids"])
    feeds = {i.name: np.array(inputs.get(i.name, zeros), dtype=np.int64) for i in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    pairs = [
        (ours, expected.get(f"out.{name}", expected.get(name)))
        for name, ours in zip(names, session.run(names, feeds), strict=True)
    ]
    # transformers flattens DeBERTa's regression [batch, 1] where it has labels.
    return max(float(np.abs(ours - theirs.reshape(ours.shape)).max()) for ours, theirs in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path)
    parser.add_argument("fixtures", type=Path, nargs="?", default=Path(__file__).parent / "fixtures" / "models")
    options = parser.parse_args()
    files = [
        (name, folder, options.fixtures / folder.name)
        for folder in sorted(options.exports.iterdir())
        for name in LIMITS
        if (options.fixtures / folder.name / "expected.json").exists()
    ]
    worst = dict.fromkeys(LIMITS, 0.0)
    for name, folder, fixture in files:
        found = difference(folder / "onnx" / f"{name}.onnx", fixture)
        worst[name] = max(worst[name], found)
        print(f"{folder.name:40} {name:10} {found:.1e}{'' if found <= LIMITS[name] else '  too large'}")
    print(f"{len(files)} files, largest difference {worst}")
    sys.exit(0 if files and all(worst[name] <= LIMITS[name] for name in LIMITS) else 1)


main()
