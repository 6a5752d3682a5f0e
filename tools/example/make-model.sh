#!/usr/bin/env bash
# Rebuilds the example's model: corpus, vocabulary, masked language modelling. Takes about half an hour on two
# cores with lavapipe. The vocabulary needs Python with `tokenizers` (PYTHON names the interpreter);
# everything else is dawngrad.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=examples/sentiment/model

npx tsx tools/example/make-corpus.ts "$work/corpus.txt" 60000
"${PYTHON:-python3}" tools/example/train_tokenizer.py "$work/corpus.txt" "$model"
npx tsx src/cli/main.ts pretrain --corpus "$work/corpus.txt" --tokenizer "$model" --output "$work/model" \
  --hidden-size 128 --layers 2 --heads 4 --max-length 64 --dropout 0 --initializer-range 0.1 \
  --epochs 3 --batch-size 16 --lr 7e-4 --seed 42
cp "$work/model/config.json" "$work/model/model.safetensors" "$model/"
