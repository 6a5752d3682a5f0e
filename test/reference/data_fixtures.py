"""Parquet files as the hub has them, into fixtures/data/ (needs pyarrow)."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(__file__).parent / "fixtures" / "data"
OUT.mkdir(parents=True, exist_ok=True)

features = {"sentence": {"dtype": "string", "_type": "Value"},
            "label": {"names": ["negative", "positive"], "_type": "ClassLabel"}}
rows = pa.table({
    "sentence": ["fine \"work\"", "dull, and\nlong", "très bon 👍", "poor"] * 3,
    "label": pa.array([1, 0, 1, 0] * 3, pa.int64()),
    "idx": pa.array(range(12), pa.int32()),
}).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
for codec in ("snappy", "gzip", "zstd"):
    pq.write_table(rows, OUT / f"classes-{codec}.parquet", compression=codec, row_group_size=5)
pq.write_table(pa.table({"sentence1": ["a", "b", "c"], "sentence2": ["d", "e", "f"], "score": [3.0, 1.0, 4.5]}),
               OUT / "values.parquet")
pq.write_table(pa.table({"tokens": [["Ann", "left"], ["to", "Rome", "today"]], "ner_tags": [[1, 0], [0, 3, 0]]}).replace_schema_metadata(
    {"huggingface": json.dumps({"info": {"features": {"ner_tags": {"_type": "Sequence", "feature": {
        "names": ["O", "B-PER", "I-PER", "B-LOC"], "_type": "ClassLabel"}}}}})}), OUT / "words.parquet")
