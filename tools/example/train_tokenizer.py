"""Trains the example's WordPiece vocabulary on the corpus, because the engine does not train tokenizers.

    python tools/example/train_tokenizer.py corpus.txt examples/sentiment/model
"""

import json
import sys
from pathlib import Path

from tokenizers import BertWordPieceTokenizer

corpus, folder = sys.argv[1], Path(sys.argv[2])
tokenizer = BertWordPieceTokenizer(lowercase=True)
tokenizer.train([corpus], vocab_size=2500, min_frequency=2, limit_alphabet=100, show_progress=False)
folder.mkdir(parents=True, exist_ok=True)
tokenizer.save_model(str(folder))
(folder / "tokenizer_config.json").write_text(json.dumps(dict(
    do_lower_case=True, model_max_length=64, tokenizer_class="BertTokenizer", pad_token="[PAD]", unk_token="[UNK]",
    cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"), indent=2) + "\n")
