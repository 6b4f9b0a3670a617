"""Tokenisation: a model's own tokenizer, one from a folder, or one trained on the training texts.

Knows texts and tokens; no labels and no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from automl_gpt_ray.errors import JobError, Problem, SpaceError, TrainingError, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training import ranks
from automl_gpt_ray.training.optimisation import bounded

TRAINED = ("wordpiece", "bpe", "unigram")
"""Kinds of tokenizer that are trained on the data; any other name is a folder or hub id."""

CHOICES = frozenset({"tokenizer", "vocabulary", "lowercase", "max_length"})
"""Names in a configuration that decide how texts become tokens."""

DEFAULT_VOCABULARY, DEFAULT_LENGTH = 8000, 128
_PAD, _UNKNOWN, _FIRST, _LAST, _MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
_SPECIAL = [_PAD, _UNKNOWN, _FIRST, _LAST, _MASK]


def tokenizer_for(config: Config, texts: Iterable[str]) -> Any:
    """Return the tokenizer that `config` names.

    Args:
        config: `tokenizer` is one of `TRAINED`, a hub id or a folder; by default the `model`'s own, or
            `wordpiece` for a fresh model. `vocabulary` and `lowercase` are for trained ones.
        texts: Of the training examples.

    Raises:
        JobError: There is no such tokenizer.
    """
    name = str(config.get("tokenizer") or config.get("model") or TRAINED[0])
    if name in TRAINED:
        size = int(bounded(config, "vocabulary", DEFAULT_VOCABULARY, 100))
        return train_tokenizer(name, texts, size, bool(config.get("lowercase", True)))
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        rule = f"must be one of {', '.join(TRAINED)}, a folder, or a hub id that can be reached"
        got = f"{shown(name)}: {shown(str(error).strip().splitlines()[0])}"
        raise JobError("tokenizer", [Problem("tokenizer", rule, got, "correct the Model Card")]) from None


def train_tokenizer(kind: str, texts: Iterable[str], size: int, lowercase: bool) -> Any:
    """Return a tokenizer of at most `size` entries trained on `texts`; it frames texts as BERT's does."""
    unknown = {"unk_token": _UNKNOWN}
    made = {"wordpiece": models.WordPiece, "bpe": models.BPE, "unigram": models.Unigram}[kind]
    tokenizer = Tokenizer(made() if kind == "unigram" else made(**unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if kind == "wordpiece":
        tokenizer.decoder = decoders.WordPiece()
    shared = {"vocab_size": size, "special_tokens": _SPECIAL, "show_progress": False}
    trainer = {
        "wordpiece": trainers.WordPieceTrainer,
        "bpe": trainers.BpeTrainer,
        "unigram": trainers.UnigramTrainer,
    }[kind](**shared, **(unknown if kind == "unigram" else {}))
    if ranks.first():
        tokenizer.train_from_iterator(texts, trainer)
    if ranks.count() > 1:
        tokenizer = Tokenizer.from_str(ranks.told(tokenizer.to_str()))  # workers must agree on what a token is
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in (_FIRST, _LAST)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_FIRST} $A {_LAST}", pair=f"{_FIRST} $A {_LAST} $B:1 {_LAST}:1", special_tokens=marks
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        cls_token=_FIRST,
        sep_token=_LAST,
        mask_token=_MASK,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def reload_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a checkpoint.

    Raises:
        TrainingError: The folder holds none.
    """
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise TrainingError("error", f"`{folder}` holds no readable tokenizer: {shown(str(error))}") from error


_COUNTED_FROM_PADDING = re.compile(r"(xlm-)?roberta.*|camembert|data2vec-text|ibert|longformer|luke|mpnet|xmod")
"""Types of models that count positions from that after their padding token's: RoBERTa's 514 hold 512 tokens."""


def length_limit(config: Config, tokenizer: Any, described: Any) -> int:
    """Return the `max_length` of `config` in tokens.

    Raises:
        SpaceError: The model or its tokenizer takes fewer.
    """
    wanted = int(bounded(config, "max_length", DEFAULT_LENGTH, 4))
    positions = int(getattr(described, "max_position_embeddings", None) or 0)
    if positions > 0 and _COUNTED_FROM_PADDING.fullmatch(getattr(described, "model_type", "")):
        positions -= 1 + max(1, getattr(described, "pad_token_id", None) or 1)  # MPNet takes 1, whatever it is told
    limit = min(int(tokenizer.model_max_length), positions if positions > 0 else wanted)  # XLNet says -1: no limit
    if wanted > limit:
        rule = f"must not exceed the {limit} tokens that the model takes"
        raise SpaceError("configuration", [Problem("max_length", rule, shown(wanted), "lower it in the Model Card")])
    return wanted


def encode(tokenizer: Any, texts: Sequence[tuple[str, ...]], max_length: int) -> tuple[list[dict[str, Any]], float]:
    """Return the tokens of each text (or pair) without padding, and the share of texts that were cut."""
    parts = [list(part) for part in zip(*texts, strict=True)]
    whole = tokenizer(*parts, truncation=False, verbose=False)["input_ids"]
    cut = sum(len(tokens) > max_length for tokens in whole) / max(1, len(whole))
    found = tokenizer(*parts, truncation=True, max_length=max_length)
    return [{name: found[name][i] for name in found} for i in range(len(texts))], cut
