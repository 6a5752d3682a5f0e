"""Writes tiny random checkpoints with transformers, and what PyTorch computes from them, to fixtures/models/.

    python test/reference/model_fixtures.py [new folder to write instead]

The layout of what it writes is in README.md. Attention is transformers' eager one: the plain formula.
"""

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AlbertConfig, DebertaV2Config, AutoModelForMaskedLM, AutoModelForMultipleChoice, AutoModelForPreTraining, AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoModel, BertConfig, BertForPreTraining,
    CamembertConfig, DistilBertConfig, ElectraConfig, MPNetConfig, ModernBertConfig, RobertaConfig, Trainer, XLMRobertaConfig, get_constant_schedule, get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup, get_scheduler,
)

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "fixtures" / "models"
EAGER = dict(attn_implementation="eager")


@dataclass
class Family:
    """What sets a family's fixtures apart. `values` and `tiny` are keys of its config."""
    config: type
    values: dict
    number: int  # of the random sequences
    tiny: dict
    words: str  # the weight of the word embeddings, and what is tied to it or to a bias
    ties: dict
    dropouts: tuple = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    activation: str = "hidden_act"
    first_position: int = 0  # that a text may have
    token_types: bool = False
    awkward: bool = False  # whether each task's batch has padding on the left, and a mask with holes, too

    def make(self, values, **more):
        return self.config(**values, **dict.fromkeys(self.dropouts, 0.0), **more)


BERTS = ("hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers")
DISTILS = ("dim", "n_heads", "hidden_dim", "n_layers")


def of_sizes(hidden, heads, inner, vocab, positions, layers=2, keys=BERTS, **more):
    sizes = dict(zip(keys, (hidden, heads, inner, layers)))
    return dict(**sizes, vocab_size=vocab, max_position_embeddings=positions, **more)


TINY, TINIER = (16, 2, 20, 29, 12), (6, 2, 5, 17, 9)
UNTIED = dict(layers=1, tie_word_embeddings=False)
ROBERTA = dict(type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, initializer_range=0.2)
MODERN = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2, initializer_range=0.2)
DEBERTA = dict(pad_token_id=0, initializer_range=0.2)
DISTANCES = dict(relative_attention=True, position_buckets=6, share_att_key=True, norm_rel_ebd="layer_norm", pos_att_type=["p2c", "c2p"],
                 position_biased_input=False, type_vocab_size=0)
TYPED = dict(type_vocab_size=2, pad_token_id=0, initializer_range=0.2)
LM_HEAD = dict(words="roberta.embeddings.word_embeddings.weight", first_position=2,
               ties={"lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
                     "lm_head.decoder.bias": "lm_head.bias"})
FAMILIES = {
    "bert": Family(
        BertConfig, of_sizes(32, 4, 37, 131, 40, type_vocab_size=2, pad_token_id=0, initializer_range=0.2), 0,
        of_sizes(*TINY, **UNTIED), token_types=True, words="bert.embeddings.word_embeddings.weight",
        ties={"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
              "cls.predictions.decoder.bias": "cls.predictions.bias"}),
    "roberta": Family(RobertaConfig, of_sizes(24, 3, 40, 137, 34, **ROBERTA), 1, of_sizes(*TINY, **UNTIED), **LM_HEAD),
    "distilbert": Family(
        DistilBertConfig, of_sizes(15, 3, 17, 101, 19, keys=DISTILS, pad_token_id=0, initializer_range=0.3), 2,
        of_sizes(*TINIER, keys=DISTILS, **UNTIED), words="distilbert.embeddings.word_embeddings.weight",
        ties={"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"},
        dropouts=("dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout"), activation="activation"),
    # Of the body that is RoBERTa's, other odd sizes.
    "xlm-roberta": Family(XLMRobertaConfig, of_sizes(9, 3, 17, 103, 21, layer_norm_eps=1e-5, **ROBERTA), 3,
                          of_sizes(*TINIER, **UNTIED), **LM_HEAD),
    "camembert": Family(CamembertConfig, of_sizes(9, 3, 11, 100, 20, layers=1, layer_norm_eps=1e-5, **ROBERTA), 4,
                        of_sizes(*TINIER, **UNTIED), **LM_HEAD),
    "electra": Family(
        ElectraConfig, of_sizes(36, 3, 37, 101, 40, embedding_size=10, **TYPED), 5,
        of_sizes(*TINY, embedding_size=16, **UNTIED), words="electra.embeddings.word_embeddings.weight",
        ties={"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"},
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "summary_last_dropout"),
        token_types=True, awkward=True),
    "albert": Family(
        AlbertConfig, of_sizes(36, 3, 37, 101, 40, layers=3, embedding_size=10, num_hidden_groups=2, **TYPED), 6,
        of_sizes(*TINY, embedding_size=16, num_hidden_groups=1, inner_group_num=2, **UNTIED | dict(layers=3)),
        words="albert.embeddings.word_embeddings.weight",
        ties={"predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
              "predictions.decoder.bias": "predictions.bias"},
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"),
        token_types=True, awkward=True),
    "mpnet": Family(
        MPNetConfig, of_sizes(36, 3, 37, 101, 34, pad_token_id=1, bos_token_id=0, eos_token_id=2, initializer_range=0.2), 7,
        of_sizes(*TINY, **UNTIED), words="mpnet.embeddings.word_embeddings.weight", first_position=2,
        ties={"lm_head.decoder.weight": "mpnet.embeddings.word_embeddings.weight", "lm_head.decoder.bias": "lm_head.bias"},
        awkward=True),
    # A window of 8 tokens on either side: every token of the tasks' batches, and fewer of longer ones.
    "modernbert": Family(
        ModernBertConfig, of_sizes(36, 3, 37, 101, 40, layers=3, global_attn_every_n_layers=2, local_attention=16, norm_bias=True, **MODERN), 8,
        of_sizes(*TINY, global_attn_every_n_layers=1, **MODERN, **UNTIED), words="model.embeddings.tok_embeddings.weight",
        ties={"decoder.weight": "model.embeddings.tok_embeddings.weight"},
        dropouts=("attention_dropout", "mlp_dropout", "embedding_dropout", "classifier_dropout"), activation="hidden_activation",
        awkward=True),
    # As version 3 is: distances alone, in buckets, projected by the layers of queries and keys.
    "deberta-v2": Family(
        DebertaV2Config, of_sizes(36, 3, 37, 101, 40, **DEBERTA, **DISTANCES), 9,
        of_sizes(*TINY, **DEBERTA, **DISTANCES, **UNTIED), words="deberta.embeddings.word_embeddings.weight",
        ties={"cls.predictions.decoder.weight": "deberta.embeddings.word_embeddings.weight",
              "cls.predictions.decoder.bias": "cls.predictions.bias"},
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout", "cls_dropout"), awkward=True),
}


def config_of(family, **more):
    return FAMILIES[family].make(FAMILIES[family].values, **more)


def generator_of(seed, family):
    return torch.Generator().manual_seed(seed + FAMILIES[family].number)


def named_parameters(model):
    """A tied weight under the embedding's name, whichever module has it first."""
    tied = getattr(model, "_tied_weights_keys", None) or {}
    names = tied if model.config.tie_word_embeddings else {}
    return [(names.get(n, n), p) for n, p in model.named_parameters()]


def perturb(model, generator):
    """Moves biases and LayerNorm weights off their trivial start, so that every gradient is far from zero."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    model.tie_weights()
    return model.eval()


def batch(family, lengths, generator, width=None):
    values, types_known = FAMILIES[family].values, FAMILIES[family].token_types
    width = width or max(lengths)
    ids = torch.full((len(lengths), width), values["pad_token_id"])
    mask = torch.zeros_like(ids)
    types = torch.zeros_like(ids)
    for row, n in enumerate(lengths):
        ids[row, :n] = torch.randint(5, values["vocab_size"], (n,), generator=generator)
        mask[row, :n] = 1
        if types_known:
            types[row, n // 2:n] = 1
    inputs = dict(input_ids=ids, attention_mask=mask)
    if types_known:
        inputs["token_type_ids"] = types
    return inputs


def left_padded(family, lengths, generator):
    inputs = batch(family, lengths, generator)
    return {k: torch.stack([row.roll(row.shape[0] - n) for row, n in zip(v, lengths)]) for k, v in inputs.items()}


def awkward(family, inputs, generator):
    """The inputs, below them a row padded on the left, and one whose mask has holes."""
    width = inputs["input_ids"].shape[1]
    left, holes = left_padded(family, [5, width], generator), batch(family, [width], generator)
    holes["attention_mask"][0, [1, 4, width - 1]] = 0
    return {k: torch.cat([v, left[k][:1], holes[k]]) for k, v in inputs.items()}


def lists(inputs):
    return {k: v.tolist() for k, v in inputs.items()}


def write_json(path, value, **options):
    path.write_text(json.dumps(value, **options))


def gradient_norms(model):
    """The Euclidean norm of each parameter's gradient: enough where a task's file already holds every element."""
    return {n: 0.0 if p.grad is None else p.grad.norm().item() for n, p in named_parameters(model)}


def case(folder, model, inputs, labels):
    """Saves a checkpoint with expected outputs, loss and gradients."""
    model.save_pretrained(OUT / folder)
    out = model(**inputs, **labels)
    out.loss.backward()
    tensors = {}
    for key in ("logits", "start_logits", "end_logits", "prediction_logits", "sop_logits", "seq_relationship_logits"):
        if getattr(out, key, None) is not None:
            tensors[f"out.{key}"] = getattr(out, key).detach().contiguous()
    for name, p in named_parameters(model):
        tensors[f"grad.{name}"] = (p.grad if p.grad is not None else torch.zeros_like(p)).contiguous()
    save_file(tensors, OUT / folder / "expected.safetensors")
    write_json(OUT / folder / "expected.json", dict(inputs=lists(inputs), labels=lists(labels), loss=out.loss.item()))


def tasks(family):
    g = generator_of(7, family)
    torch.manual_seed(11 + FAMILIES[family].number)
    inputs = batch(family, [9, 4, 1], g)
    if FAMILIES[family].awkward:
        inputs = awkward(family, inputs, g)
    B, L = inputs["input_ids"].shape
    make = lambda auto, **kw: perturb(auto.from_config(config_of(family, **kw), **EAGER), g)
    seq = AutoModelForSequenceClassification
    case(f"{family}-single", make(seq, num_labels=3), inputs, dict(labels=torch.tensor([2, 0, 1, 1, 2][:B])))
    case(f"{family}-multi", make(seq, num_labels=4, problem_type="multi_label_classification"), inputs,
         dict(labels=torch.randint(0, 2, (B, 4), generator=g).float()))
    case(f"{family}-regression", make(seq, num_labels=1), inputs, dict(labels=torch.tensor([0.5, -1.0, 2.0, 0.25, -0.5][:B])))
    token_labels = torch.randint(0, 5, (B, L), generator=g)
    token_labels[inputs["attention_mask"] == 0] = -100
    case(f"{family}-token", make(AutoModelForTokenClassification, num_labels=5), inputs, dict(labels=token_labels))
    case(f"{family}-qa", make(AutoModelForQuestionAnswering), inputs,
         dict(start_positions=torch.tensor([1, 0, 0, 5, 0][:B]), end_positions=torch.tensor([5, 3, 12, 8, 4][:B])))
    mlm_labels = torch.full((B, L), -100)
    mlm_labels[0, 2], mlm_labels[0, 5], mlm_labels[1, 1] = 17, 60, 99
    case(f"{family}-mlm", make(AutoModelForMaskedLM), inputs, dict(labels=mlm_labels))
    base_case(family, make(AutoModel), inputs)


def base_case(family, model, inputs):
    """The base model has no loss of its own: the mean squared errors of its outputs against stored targets, summed."""
    folder = OUT / f"{family}-base"
    model.save_pretrained(folder)
    out = model(**inputs)
    g = torch.Generator().manual_seed(41)
    tensors, loss = {}, 0.0
    for key in ("last_hidden_state", "pooler_output"):
        value = getattr(out, key, None)
        if value is None:
            continue
        target = torch.randn(value.shape, generator=g)
        tensors[key], tensors[f"target.{key}"] = value.detach().contiguous(), target
        loss = loss + torch.nn.functional.mse_loss(value, target)
    loss.backward()
    save_file(tensors, folder / "expected.safetensors")
    write_json(folder / "expected.json", dict(inputs=lists(inputs), loss=loss.item(), grad_norms=gradient_norms(model)))


def choices(family):
    """Two questions of three texts each."""
    g = generator_of(81, family)
    torch.manual_seed(83 + FAMILIES[family].number)
    texts = batch(family, [7, 4, 2, 5, 7, 1], g)
    if FAMILIES[family].awkward:
        texts["attention_mask"][4, [2, 5]] = 0
    inputs = {k: v.view(2, 3, -1) for k, v in texts.items()}
    model = perturb(AutoModelForMultipleChoice.from_config(config_of(family), **EAGER), g)
    case(f"{family}-choice", model, inputs, dict(labels=torch.tensor([2, 0])))


def windows(family):
    """ModernBERT's local attention in texts longer than a window, and the other values of its flags."""
    g = generator_of(111, family)
    torch.manual_seed(113)
    inputs = batch(family, [21, 16], g)
    labels = torch.randint(0, 5, inputs["input_ids"].shape, generator=g)
    labels[inputs["attention_mask"] == 0] = -100
    case(f"{family}-local", perturb(AutoModelForTokenClassification.from_config(config_of(family, num_labels=5), **EAGER), g), inputs, dict(labels=labels))
    flags = dict(norm_bias=False, attention_bias=True, mlp_bias=True, classifier_bias=True, decoder_bias=False)
    config = config_of(family, num_labels=3, classifier_pooling="mean", hidden_activation="silu", classifier_activation="tanh").to_dict() | flags
    make = lambda auto: perturb(auto.from_config(FAMILIES[family].config(**config), **EAGER), g)
    inputs = awkward(family, batch(family, [9, 4, 1], g), g)
    case(f"{family}-mean", make(AutoModelForSequenceClassification), inputs, dict(labels=torch.tensor([2, 0, 1, 1, 2])))
    labels = torch.full(inputs["input_ids"].shape, -100)
    labels[0, 2], labels[1, 1], labels[3, 5] = 17, 60, 99
    case(f"{family}-unbiased", make(AutoModelForMaskedLM), inputs, dict(labels=labels))


def disentangled(family):
    """DeBERTa's other flags: absolute positions and types too, projections and no buckets of distances, one kind of scores, the newer head."""
    g = generator_of(121, family)
    torch.manual_seed(123)
    inputs = batch(family, [9, 4, 1], g)
    inputs["token_type_ids"] = (torch.arange(9) > 4).long().expand(3, 9) * inputs["attention_mask"]
    labels = torch.full(inputs["input_ids"].shape, -100)
    labels[0, 2], labels[1, 1], labels[2, 0] = 17, 60, 99
    flags = dict(relative_attention=True, pos_att_type="c2p|p2c", max_relative_positions=5, position_biased_input=True, type_vocab_size=2, legacy=False)
    sizes = of_sizes(36, 3, 37, 101, 40, **DEBERTA)
    for name, more in (("newer", {}), ("content", dict(pos_att_type=["c2p"], relative_attention=False, legacy=True)), ("positions", dict(pos_att_type=["p2c"], position_buckets=4))):
        config = FAMILIES[family].make(sizes | flags | more)
        case(f"{family}-{name}", perturb(AutoModelForMaskedLM.from_config(config, **EAGER), g), inputs, dict(labels=labels))


def replaced(family):
    """ELECTRA's pre-training: which tokens are not the text's own. What lies beneath padding does not count."""
    g = generator_of(91, family)
    torch.manual_seed(93)
    inputs = awkward(family, batch(family, [9, 4, 1], g), g)
    labels = torch.randint(0, 2, inputs["input_ids"].shape, generator=g)
    model = perturb(AutoModelForPreTraining.from_config(config_of(family), **EAGER), g)
    case(f"{family}-replaced", model, inputs, dict(labels=labels))


def pairs(family, answer):
    """Pre-training on pairs: masked tokens, and a question about the pair, whose label has this name."""
    g = generator_of(101, family)
    torch.manual_seed(103)
    inputs = awkward(family, batch(family, [9, 4, 1], g), g)
    labels = torch.full(inputs["input_ids"].shape, -100)
    labels[0, 2], labels[1, 1], labels[3, 5], labels[4, 0] = 17, 60, 99, 5
    model = perturb(AutoModelForPreTraining.from_config(config_of(family), **EAGER), g)
    case(f"{family}-pairs", model, inputs, {"labels": labels, answer: torch.tensor([1, 0, 0, 1, 1])})


def by_distance(attention, query, key, value, mask, scaling, **_):
    """Attention of transformers 4 with position_embedding_type, which transformers 5 does not have any more."""
    at, table = torch.arange(query.shape[2]), attention.distance_embedding
    rows = table(at[:, None] - at[None] + table.num_embeddings // 2)
    scores = query @ key.transpose(2, 3) + torch.einsum("bhld,lrd->bhlr", query, rows)
    if attention.config.position_embedding_type == "relative_key_query":
        scores = scores + torch.einsum("bhrd,lrd->bhlr", key, rows)
    weights = (scores * scaling + (0 if mask is None else mask)).softmax(-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


def with_distances(model):
    """Gives each layer of a model its rows of distances, and takes positions away; patches attention while the result is open."""
    config = model.config
    for module in list(model.modules()):
        if hasattr(module, "query"):
            width = config.hidden_size // config.num_attention_heads
            module.distance_embedding = torch.nn.Embedding(2 * config.max_position_embeddings - 1, width)
    # Detached: weights that have no gradient do not decay.
    model.base_model.embeddings.position_embeddings.register_forward_hook(lambda module, ids, rows: rows.detach() * 0)
    return patch.object(sys.modules[type(model).__module__], "eager_attention_forward", by_distance)


def relative(family, kind):
    """A classifier whose layers know distances of tokens; its position embeddings are there, and unused."""
    g = generator_of(111, family)
    torch.manual_seed(113)
    config = FAMILIES[family].make(FAMILIES[family].values | dict(max_position_embeddings=13, position_embedding_type=kind), num_labels=3)
    model = AutoModelForSequenceClassification.from_config(config, **EAGER)
    with with_distances(model):
        case(f"{family}-{kind}", perturb(model, g), awkward(family, batch(family, [9, 4, 1], g), g),
             dict(labels=torch.tensor([2, 0, 1, 1, 2])))


def batches(family):
    """Shapes of batches that go wrong easily, through the single-label classifier."""
    g = generator_of(51, family)
    positions = FAMILIES[family].values["max_position_embeddings"] - FAMILIES[family].first_position
    unpadded = batch(family, [7, 7, 7], g)
    cases = {
        "unpadded": unpadded,
        "ids only": dict(input_ids=unpadded["input_ids"]),
        "one token": batch(family, [1], g),
        "a row of one token": batch(family, [6, 1, 3], g),
        "padded past the longest": batch(family, [5, 2], g, width=16),
        "padded on the left": left_padded(family, [8, 3, 5], g),
        "every position": batch(family, [positions, 2], g),
    }
    folder, info, tensors = OUT / f"{family}-single", {}, {}
    for name, inputs in cases.items():
        model = AutoModelForSequenceClassification.from_pretrained(folder, **EAGER).eval()
        labels = torch.randint(0, 3, (inputs["input_ids"].shape[0],), generator=g)
        out = model(**inputs, labels=labels)
        out.loss.backward()
        tensors[f"{name}.logits"] = out.logits.detach().contiguous()
        info[name] = dict(inputs=lists(inputs), labels=dict(labels=labels.tolist()), loss=out.loss.item(),
                          grad_norms=gradient_norms(model))
    save_file(tensors, folder / "batches.safetensors")
    write_json(folder / "batches.json", info)


def embedded(family):
    """Embeddings in place of ids, of a text and of a shorter one padded on the left: logits, and the loss's gradient at the embeddings. Then
    what each token of each text alone gives to each class: the gradient of its logit at what the layers get, times that."""
    g = generator_of(131, family)
    folder = OUT / f"{family}-single"
    model = AutoModelForSequenceClassification.from_pretrained(folder, **EAGER).eval()
    inputs = left_padded(family, [9, 5], g)
    tensors, labels = {}, torch.tensor([2, 0])
    embeds = model.get_input_embeddings()(inputs["input_ids"]).detach().requires_grad_()
    out = model(inputs_embeds=embeds, **{k: v for k, v in inputs.items() if k != "input_ids"}, labels=labels)
    out.loss.backward()
    tensors["logits"], tensors["grad"] = out.logits.detach().contiguous(), embeds.grad
    for row, n in enumerate([9, 5]):
        given = []
        for label in range(3):
            alone = model(**{k: v[row:row + 1, -n:] for k, v in inputs.items()}, output_hidden_states=True)
            first = alone.hidden_states[0]
            given.append((torch.autograd.grad(alone.logits[0, label], first)[0] * first).sum(-1))
        tensors[f"attribution.{row}"] = torch.cat(given).detach()
    save_file(tensors, folder / "embeds.safetensors")
    write_json(folder / "embeds.json", dict(inputs=lists(inputs), labels=dict(labels=labels.tolist()), loss=out.loss.item()))


def decayed(model):
    """The names that transformers' Trainer gives weight decay (the method reads nothing of the trainer)."""
    names = Trainer.get_decay_parameter_names(None, model)
    return [ours for (ours, _), (theirs, _) in zip(named_parameters(model), model.named_parameters()) if theirs in names]


# Small ones of every kind; the position embedding has rows no batch uses, which only decay. No key bias: its gradient is
# zero but for rounding, which AdamW scales up to whole steps of either sign.
KEPT = ("position_embeddings.weight", "layer.0.attention.self.query.weight", "layer.1.intermediate.dense.bias",
        "layer.1.output.LayerNorm.weight", "pooler.dense.weight", "classifier.dense.weight", "classifier.weight",
        "classifier.bias", "out_proj.weight", "out_proj.bias", "layer.0.attention.q_lin.weight", "layer.1.ffn.lin1.bias",
        "layer.1.output_layer_norm.weight", "groups.0.albert_layers.0.attention.query.weight",
        "groups.1.albert_layers.0.ffn.bias", "groups.1.albert_layers.0.full_layer_layer_norm.weight",
        "embedding_hidden_mapping_in.weight", "pooler.weight", "layer.0.attention.attn.q.weight", "relative_attention_bias.weight", "layers.0.attn.Wqkv.weight",
        "layers.1.attn.Wo.weight", "layers.1.mlp.Wi.weight", "layers.2.attn_norm.weight", "head.dense.weight", "final_norm.weight", "layer.0.attention.self.query_proj.weight", "rel_embeddings.weight")


def curve(family):
    """Twenty steps of AdamW as transformers' Trainer would take them, dropout off."""
    model = AutoModelForSequenceClassification.from_pretrained(OUT / f"{family}-single", **EAGER)
    model.train()
    g = torch.Generator().manual_seed(21)
    batches = [batch(family, torch.randint(2, 14, (4,), generator=g).tolist(), g) for _ in range(5)]
    labels = [torch.randint(0, 3, (4,), generator=g) for _ in range(5)]
    decay = decayed(model)
    groups = [dict(params=[p for n, p in named_parameters(model) if n in decay], weight_decay=0.1),
              dict(params=[p for n, p in named_parameters(model) if n not in decay], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    scheduler = get_linear_schedule_with_warmup(optimizer, 4, 20)
    steps = []
    for step in range(20):
        out = model(**batches[step % 5], labels=labels[step % 5])
        out.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        steps.append(dict(loss=out.loss.item(), norm=norm.item(), lr=scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    write_json(OUT / f"{family}-single" / "curve.json",
               dict(batches=[lists(b) for b in batches], labels=[l.tolist() for l in labels], steps=steps))
    save_file({n: p.detach().contiguous() for n, p in named_parameters(model) if n.endswith(KEPT)},
              OUT / f"{family}-single" / "curve.safetensors")


def rates(make, steps):
    """The learning rate before each step, from an initial rate of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    out = []
    for _ in range(steps):
        out.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return out


def optimization():
    """Schedules past their last step too, and the split of parameters by weight decay."""
    linear, cosine = get_linear_schedule_with_warmup, get_cosine_schedule_with_warmup
    schedules = [
        dict(type=kind, warmup_steps=warmup, training_steps=total, values=rates(lambda o: make(o, warmup, total), total + 3))
        for kind, make in (("linear", linear), ("cosine", cosine)) for warmup, total in ((0, 10), (4, 20), (1, 7), (5, 5))
    ]
    schedules += [dict(type="cosine", warmup_steps=3, training_steps=17, cycles=c,
                       values=rates(lambda o: cosine(o, 3, 17, num_cycles=c), 20)) for c in (0.25, 2)]
    schedules.append(dict(type="constant", warmup_steps=0, training_steps=5, values=rates(get_constant_schedule, 8)))
    schedules += [dict(type="constant_with_warmup", warmup_steps=w, training_steps=6,
                       values=rates(lambda o: get_constant_schedule_with_warmup(o, w), 9)) for w in (0, 4)]
    named = [("cosine_with_restarts", {}), ("cosine_with_restarts", dict(num_cycles=3)), ("polynomial", {}),
             ("polynomial", dict(lr_end=0.1, power=2.0)), ("inverse_sqrt", {}), ("inverse_sqrt", dict(timescale=7)),
             ("cosine_with_min_lr", dict(min_lr=0.2)), ("cosine_with_min_lr", dict(min_lr_rate=0.1, num_cycles=1)),
             ("warmup_stable_decay", dict(num_decay_steps=5)), ("warmup_stable_decay", dict(num_decay_steps=5,
              num_stable_steps=6, warmup_type="cosine", decay_type="1-sqrt", min_lr_ratio=0.1)),
             ("warmup_stable_decay", dict(num_decay_steps=7, warmup_type="1-sqrt", decay_type="linear"))]
    schedules += [dict(type=kind, warmup_steps=w, training_steps=16, kwargs=kwargs,
                       values=rates(lambda o: get_scheduler(kind, o, w, 16, kwargs), 20))
                  for kind, kwargs in named for w in (0, 4)]
    split = {}
    for folder in sorted(OUT.glob("*-single")) + sorted(OUT.glob("*-mlm")):
        auto = AutoModelForSequenceClassification if folder.name.endswith("single") else AutoModelForMaskedLM
        model = auto.from_pretrained(folder)
        decay, names = set(decayed(model)), [n for n, _ in named_parameters(model)]
        split[folder.name] = dict(decay=[n for n in names if n in decay], no_decay=[n for n in names if n not in decay])
    write_json(OUT / "optim.json", dict(schedules=schedules, weight_decay=split))


def configs():
    """config.json with what a fine-tuned model has: named labels, a problem type, dropouts of its own."""
    for family in FAMILIES:
        cls, values, dropouts = FAMILIES[family].config, FAMILIES[family].values, FAMILIES[family].dropouts
        dropouts = dropouts if len(dropouts) > 2 else (*dropouts, "classifier_dropout")
        named = {0: "negative", 1: "neutral", 2: "positive, perhaps"}
        config = cls(**values, **dict(zip(dropouts, (0.15, 0.05, 0.3, 0.25))), id2label=named,
                     label2id={v: k for k, v in named.items()}, problem_type="single_label_classification")
        AutoModelForSequenceClassification.from_config(config).config.save_pretrained(OUT / "configs" / family)


def report(auto, folder, **more):
    _, info = auto.from_pretrained(folder, output_loading_info=True, **more)
    out = dict(missing=sorted(info["missing_keys"]), unexpected=sorted(info["unexpected_keys"]))
    if info["mismatched_keys"]:
        out["mismatched"] = sorted([n, list(theirs), list(ours)] for n, theirs, ours in info["mismatched_keys"])
    return out


def old_names(tensors):
    return {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
            for k, v in tensors.items()}


def states(folder):
    """What the base model in a folder gives for bert-base's batch, computed in float32."""
    model, info = AutoModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **EAGER)
    inputs = json.loads((OUT / "bert-base" / "expected.json").read_text())["inputs"]
    with torch.no_grad():
        out = model.eval()(**{k: torch.tensor(v) for k, v in inputs.items()})
    return dict(last_hidden_state=out.last_hidden_state.contiguous(), pooler_output=out.pooler_output.contiguous()), info


def sinusoidal():
    """The position embeddings that DistilBERT starts from where its config says sinusoidal_pos_embds."""
    weights = AutoModel.from_config(config_of("distilbert", sinusoidal_pos_embds=True)).state_dict()
    name = "embeddings.position_embeddings.weight"
    save_file({name: weights[name]}, OUT / "distilbert-base" / "sinusoidal.safetensors")


def variants():
    """The same weights under old names, in shards, and in 16 bits."""
    torch.manual_seed(31)
    pretraining = perturb(BertForPreTraining(config_of("bert")), torch.Generator().manual_seed(3))
    pretraining.save_pretrained(OUT / "bert-pretraining")
    base = load_file(OUT / "bert-base" / "model.safetensors")
    prefixed = {f"bert.{k}": v for k, v in old_names(base).items()}
    position_ids = {"bert.embeddings.position_ids": torch.arange(40)[None]}
    old_pretraining = old_names(load_file(OUT / "bert-pretraining" / "model.safetensors"))
    for name, source, tensors in (("bert-old", "bert-base", old_names(base)),
                                  ("bert-old-prefixed", "bert-base", prefixed | position_ids),
                                  ("bert-old-pretraining", "bert-pretraining", old_pretraining | position_ids)):
        (OUT / name).mkdir()
        shutil.copy(OUT / source / "config.json", OUT / name)
        save_file(tensors, OUT / name / "model.safetensors", metadata={"format": "pt"})
    for name, dtype in (("bert-bf16", torch.bfloat16), ("bert-f16", torch.float16)):
        AutoModel.from_pretrained(OUT / "bert-base").to(dtype).save_pretrained(OUT / name)
        save_file(states(OUT / name)[0], OUT / name / "expected.safetensors")
    AutoModel.from_pretrained(OUT / "bert-base").save_pretrained(OUT / "bert-sharded", max_shard_size="40KB")
    expected = load_file(OUT / "bert-base" / "expected.safetensors")
    for name in ("bert-old", "bert-old-prefixed", "bert-sharded"):
        values, info = states(OUT / name)
        assert not info["missing_keys"] and not info["unexpected_keys"], (name, info)
        for key, value in values.items():
            assert (value - expected[key]).abs().max() < 1e-6, f"{name}: {key} is not bert-base's"


def outputs(family):
    """Hidden states and attention weights of every layer, and positions of the caller's, through every head."""
    g = generator_of(61, family)
    inputs = batch(family, [5, 3], g)
    last = FAMILIES[family].values["max_position_embeddings"]
    rows, row = torch.randint(0, last, (2, 5), generator=g), torch.randint(0, last, (1, 5), generator=g)
    autos = {"base": AutoModel, "single": AutoModelForSequenceClassification, "token": AutoModelForTokenClassification,
             "qa": AutoModelForQuestionAnswering, "mlm": AutoModelForMaskedLM, "choice": AutoModelForMultipleChoice}
    for task, auto in autos.items():
        folder, tensors, runs = OUT / f"{family}-{task}", {}, {}
        model = auto.from_pretrained(folder, **EAGER).eval()
        positions = {"rows": rows, "row": row} if task == "base" else {"rows": rows}
        for name, position_ids in positions.items():
            given = inputs | dict(position_ids=position_ids)
            if task == "choice":  # Without positions, which DistilBERT's class does not take in this shape.
                given = {k: torch.stack([v, v.flip(0)]) for k, v in inputs.items()}
            with torch.no_grad():
                out = model(**given, output_hidden_states=True, output_attentions=True)
            for key, value in out.items():
                for i, tensor in enumerate(value if isinstance(value, tuple) else [value]):
                    at = f".{i}" if isinstance(value, tuple) else ""
                    tensors[f"{name}.{key}{at}"] = tensor.clone(memory_format=torch.contiguous_format)
            runs[name] = lists(given)
        save_file(tensors, folder / "outputs.safetensors")
        write_json(folder / "outputs.json", runs)


ACTIVATIONS = ("gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh",
               "quick_gelu", "relu", "silu", "swish", "tanh", "sigmoid", "linear")


def logits_of(folder, inputs, **config):
    """A masked LM's logits, with values of the config replaced."""
    model = AutoModelForMaskedLM.from_pretrained(folder, **config, **EAGER).eval()
    with torch.no_grad():
        return model(**inputs).logits.contiguous()


def untied(family):
    """A masked LM whose decoder is its own, and files of it from which transformers ties some weights, or none."""
    g = generator_of(71, family)
    torch.manual_seed(73 + FAMILIES[family].number)
    values = FAMILIES[family].values | FAMILIES[family].tiny
    config = FAMILIES[family].make(values)
    name = f"{family}-mlm-untied"
    ids = torch.randint(5, values["vocab_size"], (2, 6), generator=g)
    inputs = dict(input_ids=ids, attention_mask=torch.tensor([[1] * 6, [1] * 4 + [0] * 2]))
    ids[1, 4:] = values["pad_token_id"]
    labels = torch.full((2, 6), -100)
    labels[0, 1], labels[1, 2] = 7, 11
    case(name, perturb(AutoModelForMaskedLM.from_config(config, **EAGER), g), inputs, dict(labels=labels))
    weights = load_file(OUT / name / "model.safetensors")
    words, ties = FAMILIES[family].words, FAMILIES[family].ties
    weight, *bias = ties
    # By what is left out of the file, or made equal to what the config ties it to.
    files = {
        "tied, both differ": (True, {}),
        "tied, the weight differs": (True, {b: weights[ties[b]] for b in bias}),
        "tied, the bias differs": (True, {weight: weights[words]}),
        "tied, nothing differs": (True, {name: weights[source] for name, source in ties.items()}),
        "tied, no decoder": (True, dict.fromkeys(ties)),
        "tied, no embeddings, no bias": (True, dict.fromkeys(ties.values())),
        "untied, no decoder bias": (False, dict.fromkeys(bias)),
    }
    if not bias:
        files = {"tied, the weight differs": (True, {}), "tied, nothing differs": files["tied, nothing differs"],
                 "tied, no decoder": files["tied, no decoder"], "tied, no embeddings": (True, {words: None})}
    info, tensors = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for title, (tie, changes) in files.items():
            shutil.copy(OUT / name / "config.json", scratch)
            kept = {k: v for k, v in (weights | changes).items() if v is not None}
            save_file({k: v.clone() for k, v in kept.items()}, f"{scratch}/model.safetensors", metadata={"format": "pt"})
            tensors[title] = logits_of(scratch, inputs, tie_word_embeddings=tie)
            info[title] = dict(tie=tie, changes={k: None if v is None else ties[k] for k, v in changes.items()},
                               **report(AutoModelForMaskedLM, scratch, tie_word_embeddings=tie))
    save_file(tensors, OUT / name / "files.safetensors")
    write_json(OUT / name / "files.json", info, indent=1)
    if FAMILIES[family].activation == "activation" or family == "bert":
        save_file({act: logits_of(OUT / name, inputs, **{FAMILIES[family].activation: act}) for act in ACTIVATIONS},
                  OUT / name / "activations.safetensors")


def loading():
    """What transformers reports when loading across tasks."""
    sequence, token = AutoModelForSequenceClassification, AutoModelForTokenClassification
    write_json(OUT / "loading.json", {
        "base to sequence classification": report(sequence, OUT / "bert-base"),
        "masked LM to sequence classification": report(sequence, OUT / "bert-mlm"),
        "pretraining to base": report(AutoModel, OUT / "bert-pretraining"),
        "roberta masked LM to token classification": report(token, OUT / "roberta-mlm"),
        "sequence classification to base": report(AutoModel, OUT / "bert-single"),
        "pretraining to masked LM": report(AutoModelForMaskedLM, OUT / "bert-pretraining"),
        "old pretraining to base": report(AutoModel, OUT / "bert-old-pretraining"),
        "old pretraining to sequence classification": report(sequence, OUT / "bert-old-pretraining"),
        "base without pooler": report(AutoModel, OUT / "bert-base", add_pooling_layer=False),
        "tokens to base": report(AutoModel, OUT / "roberta-token"),
        "three labels to seven": report(sequence, OUT / "bert-single", num_labels=7, ignore_mismatched_sizes=True),
        "distilbert masked LM to sequence classification": report(sequence, OUT / "distilbert-mlm"),
        "distilbert sequence classification to base": report(AutoModel, OUT / "distilbert-single"),
        "electra pretraining to sequence classification": report(sequence, OUT / "electra-replaced"),
        "electra masked LM to multiple choice": report(AutoModelForMultipleChoice, OUT / "electra-mlm"),
        "albert pretraining to sequence classification": report(sequence, OUT / "albert-pairs"),
        "albert sequence classification to masked LM": report(AutoModelForMaskedLM, OUT / "albert-single"),
        "camembert base to token classification": report(token, OUT / "camembert-base"),
    }, indent=1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        OUT.mkdir(parents=True)  # a folder of the caller's is never emptied
    else:
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir(parents=True)
    for family in FAMILIES:
        tasks(family)
        batches(family)
        embedded(family)
        curve(family)
        choices(family)
        outputs(family)
        untied(family)
    replaced("electra")
    windows("modernbert")
    disentangled("deberta-v2")
    pairs("bert", "next_sentence_label")
    pairs("albert", "sentence_order_label")
    relative("bert", "relative_key")
    relative("bert", "relative_key_query")
    relative("electra", "relative_key_query")
    sinusoidal()
    variants()
    loading()
    optimization()
    configs()
