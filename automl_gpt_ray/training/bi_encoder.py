"""A bi-encoder: questions and passages become vectors whose product says how well they fit (arXiv 2004.04906).

Knows tensors and encoders of `transformers`; no files of questions and no training loop.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, DPRContextEncoder, DPRQuestionEncoder

from automl_gpt_ray.errors import TrainingError, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training.augmentation import choice
from automl_gpt_ray.training.transformer_models import build, describe, set_dropout

CHOICES = frozenset({"tied", "pooling", "similarity", "passage_model"})
"""Names in a configuration that decide how two encoders become one model.

`tied`: one encoder serves both; `passage_model`: pretrained weights of the passages' encoder, by default the
questions' own.
"""

POOLINGS = ("first", "mean")
"""A text's vector is that of its first token, or the mean over its tokens."""

SIMILARITIES = ("dot", "cosine")
_COSINE_SCALE = 20.0  # cosines lie in -1..1: too close for a softmax over a batch
_NAMES = ("question", "passage")


class BiEncoder(nn.Module):
    """Two encoders, or one for both.

    Args:
        question: An encoder of `transformers`.
        passage: Another; None where the first serves both.
        pooling: One of `POOLINGS`; DPR's own encoders pool as they were trained to.
        similarity: One of `SIMILARITIES`.
    """

    def __init__(self, question: nn.Module, passage: nn.Module | None, pooling: str, similarity: str) -> None:
        super().__init__()
        self.question, self.passage = question, passage
        self.pooling, self.similarity = pooling, similarity

    def forward(self, question: dict[str, Tensor], passage: dict[str, Tensor], target: Tensor, twin: Tensor) -> Any:
        """Return the loss: the negative log-likelihood of each question's own passage among all of the batch.

        Args:
            question: Tokens of n questions.
            passage: Tokens of m passages: positives and hard negatives.
            target: Shape (n,), the column of each question's positive.
            twin: Shape (n, m), true where a passage is right for a question but not its target; such are left out.
        """
        fit = self.encode_questions(question) @ self.encode_passages(passage).T
        return {"loss": nn.functional.cross_entropy(fit.float().masked_fill(twin, -torch.inf), target)}

    def encode_questions(self, tokens: dict[str, Tensor]) -> Tensor:
        """Return vectors of shape (n, width)."""
        vectors = self._vectors(self.question, tokens)
        return vectors * _COSINE_SCALE if self.similarity == "cosine" else vectors

    def encode_passages(self, tokens: dict[str, Tensor]) -> Tensor:
        """Return vectors of shape (n, width)."""
        return self._vectors(self.question if self.passage is None else self.passage, tokens)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    def _vectors(self, encoder: nn.Module, tokens: dict[str, Tensor]) -> Tensor:
        outputs = encoder(**tokens)
        if isinstance(encoder, DPRQuestionEncoder | DPRContextEncoder):
            vectors = outputs.pooler_output
        elif self.pooling == "mean":
            mask = tokens["attention_mask"].unsqueeze(-1)
            vectors = (outputs.last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
        else:
            vectors = outputs.last_hidden_state[:, 0]
        return nn.functional.normalize(vectors, dim=-1) if self.similarity == "cosine" else vectors


def build_bi_encoder(config: Config, names: frozenset[str], settings: dict[str, Any], seed: int) -> BiEncoder:
    """Return the bi-encoder that `config` describes; errors as in `transformer_models.build`.

    Untied encoders begin with the same weights, as DPR's do.
    """
    found = []
    for role in _NAMES[: 1 if config.get("tied", False) else 2]:
        named = (
            {**config, "model": config["passage_model"]} if role == "passage" and "passage_model" in config else config
        )
        described = describe(named, names, settings)
        found.append(build(_kind(described, role), named, described, seed))
    pooling, similarity = choice(config, "pooling", POOLINGS), choice(config, "similarity", SIMILARITIES)
    return BiEncoder(found[0], found[1] if len(found) > 1 else None, pooling, similarity)


def save_descriptions(model: BiEncoder, folder: Path) -> None:
    """Write what `reload_bi_encoder` needs besides the weights."""
    for role in _NAMES:
        if (encoder := getattr(model, role)) is not None:
            encoder.config.save_pretrained(folder / role)


def reload_bi_encoder(config: Config, folder: Path) -> BiEncoder:
    """Return the bi-encoder of a checkpoint.

    Raises:
        TrainingError: The folder holds none.
    """
    try:
        encoders: list[Any] = []
        for role in _NAMES:
            there = (folder / role).is_dir()
            described = AutoConfig.from_pretrained(folder / role) if there else None
            encoders.append(_empty(described, role) if there else None)
        pooling, similarity = choice(config, "pooling", POOLINGS), choice(config, "similarity", SIMILARITIES)
        model = BiEncoder(encoders[0], encoders[1], pooling, similarity)
        model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    except (OSError, ValueError, RuntimeError, AttributeError, SafetensorError) as error:
        message = f"`{folder}` holds no readable bi-encoder: {shown(str(error).strip().splitlines()[0])}"
        raise TrainingError("error", message) from error
    set_dropout(model, config)
    return model.requires_grad_(True)


def _empty(described: Any, role: str) -> Any:
    kind = _kind(described, role)
    return kind.from_config(described) if kind is AutoModel else kind(described)


def _kind(described: Any, role: str) -> Any:
    if described.model_type == "dpr":
        return DPRQuestionEncoder if role == "question" else DPRContextEncoder
    return AutoModel
