"""Fixtures of sentence-transformers: a tiny folder with its vectors, losses with gradients, a training.

    python sentence_fixtures.py
"""

import json
import shutil
from pathlib import Path

import torch
import transformers.integrations.peft
from peft import LoraConfig
from sentence_transformers import CrossEncoder, SentenceTransformer, losses, util
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

HERE = Path(__file__).parent / "fixtures" / "sentence"
WORDS = "a man is playing the guitar woman eating food dog runs in park cat sleeps on mat query passage :".split()
TEXTS = [
    "a man is playing the guitar",
    "a woman is eating food",
    "the dog runs in the park",
    "a cat",
    "the cat sleeps on the mat",
    "man is eating the food in a park on the mat a dog runs",
    "",
]
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "max", "weightedmean")]


def config(**more):
    return BertConfig(
        vocab_size=40,
        hidden_size=24,
        num_attention_heads=3,
        num_hidden_layers=2,
        intermediate_size=36,
        max_position_embeddings=20,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.4,
        **more,
    )


def rounded(tensor):
    return [float(f"{x:.7g}") for x in tensor.detach().flatten().tolist()]


def plain_folder(target, model):
    vocab = target / "vocab.txt"
    target.mkdir(parents=True, exist_ok=True)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    vocab.write_text("\n".join([*tokens, *(f"unused{i}" for i in range(40 - len(tokens)))]) + "\n")
    model.save_pretrained(target)
    BertTokenizerFast(str(vocab), model_max_length=20).save_pretrained(target)
    vocab.unlink(missing_ok=True)


def sentence_model(plain, mode, normalize=True, include_prompt=True):
    transformer = Transformer(str(plain), max_seq_length=12)
    modules = [transformer, Pooling(24, pooling_mode=mode, include_prompt=include_prompt)]
    return SentenceTransformer(
        modules=[*modules, *([Normalize()] if normalize else [])],
        prompts={"query": "query : ", "passage": "passage : "},
        device="cpu",
    )


def vectors(plain):
    out = {}
    for mode in MODES:
        model = sentence_model(plain, mode, normalize=False)
        out["+".join([mode] if isinstance(mode, str) else mode)] = [rounded(row) for row in torch.tensor(model.encode(TEXTS))]
    return out


def prompted(plain):
    out = {}
    for name, include in (("included", True), ("excluded", False)):
        model = sentence_model(plain, "weightedmean", include_prompt=include)
        out[name] = [rounded(row) for row in torch.tensor(model.encode(TEXTS, prompt_name="query"))]
    return out


def loss_cases():
    """Losses of given embeddings, with gradients."""
    model = SentenceTransformer(str(HERE / "model"), device="cpu")
    metric = losses.TripletDistanceMetric
    ranking = losses.MultipleNegativesRankingLoss
    scores = torch.tensor([0.8, 0.1, 0.5, 0.5, 1.0])
    classes = torch.tensor([0, 1, 0, 2, 1])
    cases = {
        "CosineSimilarityLoss": (losses.CosineSimilarityLoss(model), 2, scores),
        "CoSENTLoss": (losses.CoSENTLoss(model), 2, scores),
        "CoSENTLoss scale 5": (losses.CoSENTLoss(model, scale=5.0), 2, scores),
        "MultipleNegativesRankingLoss pairs": (ranking(model), 2, None),
        "MultipleNegativesRankingLoss two negatives": (ranking(model), 4, None),
        "MultipleNegativesRankingLoss dot": (ranking(model, scale=2.0, similarity_fct=util.dot_score), 3, None),
        "TripletLoss euclidean": (losses.TripletLoss(model, triplet_margin=1.0), 3, None),
        "TripletLoss cosine": (losses.TripletLoss(model, metric.COSINE, 0.3), 3, None),
        "TripletLoss manhattan": (losses.TripletLoss(model, metric.MANHATTAN, 2.0), 3, None),
        "BatchAllTripletLoss": (losses.BatchAllTripletLoss(model, margin=1.0), 1, classes),
    }
    torch.manual_seed(3)
    out = {}
    for name, (loss, columns, labels) in cases.items():
        embeddings = torch.randn(5, columns, 9, requires_grad=True)
        value = loss.compute_loss_from_embeddings(list(embeddings.unbind(1)), labels)
        value.backward()
        out[name] = case(embeddings, labels, value)
    for name, inner, columns, labels in (
        ("MatryoshkaLoss ranking", ranking(model), 2, None),
        ("MatryoshkaLoss cosent", losses.CoSENTLoss(model), 2, scores),
    ):
        embeddings = torch.randn(5, columns, 9, requires_grad=True)
        total = 0.0
        for dim, weight in ((9, 1.0), (4, 0.5)):
            short = torch.nn.functional.normalize(embeddings[..., :dim], dim=-1)
            total = total + weight * inner.compute_loss_from_embeddings(list(short.unbind(1)), labels)
        total.backward()
        out[name] = case(embeddings, labels, total)
    return out


def case(embeddings, labels, value):
    return {
        "shape": list(embeddings.shape),
        "embeddings": rounded(embeddings),
        "labels": None if labels is None else labels.tolist(),
        "loss": value.item(),
        "gradient": rounded(embeddings.grad),
    }


TRAINING = [
    ("MultipleNegativesRankingLoss", 3, None),
    ("CosineSimilarityLoss", 2, [1.0, 0.2, 0.6]),
    ("MatryoshkaLoss", 2, None),
]


def trainings():
    """Losses of ten AdamW steps over two batches of three examples, dropout 0."""
    out = {}
    for name, columns, labels in TRAINING:
        model = SentenceTransformer(str(HERE / "model"), device="cpu")
        model.train()
        if name == "MatryoshkaLoss":
            loss = losses.MatryoshkaLoss(model, losses.MultipleNegativesRankingLoss(model), [24, 8], [1, 2])
        else:
            loss = getattr(losses, name)(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
        steps = []
        for step in range(10):
            rows = [[TEXTS[(step % 2 + example + 2 * column) % 6] for example in range(3)] for column in range(columns)]
            features = [model.preprocess(texts) for texts in rows]
            value = loss(features, None if labels is None else torch.tensor(labels))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            steps.append(value.item())
        out[name] = {"columns": columns, "labels": labels, "losses": steps}
    return out


def adapter():
    """A folder with an adapter of PEFT, its vectors, and the losses of ten AdamW steps of it."""
    # transformers 5.24 asks for a PEFT that is not out.
    transformers.integrations.peft.MIN_PEFT_VERSION = "0.18.0"
    model = SentenceTransformer(str(HERE / "model"), device="cpu")
    torch.manual_seed(4)
    model.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"]))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.3)
    model.save_pretrained(str(HERE / "adapter"), create_model_card=False)
    settings = HERE / "adapter" / "adapter_config.json"
    content = json.loads(settings.read_text())
    settings.write_text(json.dumps({**content, "base_model_name_or_path": "../model"}, indent=2) + "\n")
    vectors = [rounded(row) for row in torch.tensor(model.encode(TEXTS))]
    model.train()
    loss = losses.MultipleNegativesRankingLoss(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0)
    steps = []
    for step in range(10):
        rows = [[TEXTS[(step % 2 + example + 2 * column) % 6] for example in range(3)] for column in range(3)]
        value = loss([model.preprocess(texts) for texts in rows], None)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        steps.append(value.item())
    return {"vectors": vectors, "losses": steps}


def cross_encoder():
    torch.manual_seed(2)
    folder = HERE / "cross-encoder"
    plain_folder(folder, BertForSequenceClassification(config(num_labels=1)))
    model = CrossEncoder(str(folder), device="cpu")
    pairs = [(TEXTS[0], text) for text in TEXTS[1:5]]
    ranks = model.rank(TEXTS[0], TEXTS[1:5], top_k=3)
    return {
        "pairs": pairs,
        "scores": [float(x) for x in model.predict(pairs)],
        "ranks": [{"corpusId": int(r["corpus_id"]), "score": float(r["score"])} for r in ranks],
    }


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    torch.manual_seed(1)
    plain = HERE / "plain"
    plain_folder(plain, BertModel(config()))
    sentence_model(plain, "mean").save_pretrained(str(HERE / "model"), create_model_card=False)
    model = SentenceTransformer(str(HERE / "model"), device="cpu")
    embeddings = model.encode(TEXTS[:4])
    similarity = {}
    for name in ("cosine", "dot", "euclidean", "manhattan"):
        model.similarity_fn_name = name
        similarity[name] = [rounded(row) for row in model.similarity(embeddings[:2], embeddings[2:4])]
    expected = {
        "texts": TEXTS,
        "vectors": vectors(plain),
        "normalized": [rounded(row) for row in torch.tensor(SentenceTransformer(str(HERE / "model"), device="cpu").encode(TEXTS))],
        "prompted": prompted(plain),
        "similarity": similarity,
        "losses": loss_cases(),
        "trainings": trainings(),
        "crossEncoder": cross_encoder(),
        "adapter": adapter(),
    }
    # One file of weights is enough: the tests copy it.
    shutil.rmtree(plain)
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
