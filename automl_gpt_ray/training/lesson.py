"""A lesson: what a model of `transformers` is to learn, and how it is judged; `fine_tuning` teaches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

Scores = dict[str, float]


@dataclass(frozen=True)
class Lesson:
    """What is to be learnt, and how well it was.

    Attributes:
        model: Takes a batch as keyword arguments and returns something with `loss`. Has the weights of the
            checkpoint already where a training goes on.
        examples: One example each, in an order that does not change.
        collate: Makes a batch of some of them: keyword arguments of the model.
        score: Metrics of the model, which is in evaluation mode, by bare name.
        save: Writes into a checkpoint what is needed besides the model.
        loss: Of the model and a batch, where it is not what the model returns as `loss`.
        at_step: Called with the number of each step before it begins, where what is learnt changes with it.
        bound: Further names of the configuration that a checkpoint is bound to.
        constants: Metrics that are the same at every step.
    """

    model: nn.Module
    examples: Sequence[Any]
    collate: Callable[[list[Any]], dict[str, Any]]
    score: Callable[[Any], Scores]
    save: Callable[[Path], object] = lambda folder: None
    loss: Callable[[Any, dict[str, Any]], Tensor] | None = None
    at_step: Callable[[int], object] = lambda step: None
    bound: frozenset[str] = frozenset()
    constants: Mapping[str, float] = field(default_factory=dict)
