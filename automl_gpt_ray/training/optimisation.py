"""Optimisers and learning-rate schedules, read from a configuration.

The learning rate is a function of configuration and progress alone, so that a restored training,
or one whose hot hyperparameters were changed, needs no scheduler state.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from automl_gpt_ray.errors import Problem, SpaceError, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training.network_defaults import DEFAULTS

_LOW = {
    "learning_rate": 0.0,
    "weight_decay": 0.0,
    "momentum": 0.0,
    "warmup": 0.0,
    "label_smoothing": 0.0,
    "batch_size": 1,
}
_HIGH = {"momentum": 1.0, "warmup": 1.0, "label_smoothing": 1.0}


def optimizer_for(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return the optimiser that `config` names: `adamw` or `sgd` (with Nesterov momentum, where it is above 0).

    Raises:
        SpaceError: It is not known, or a number is out of its range.
    """
    rate, decay = number(config, "learning_rate"), number(config, "weight_decay")
    if one_of(config, "optimizer", ("adamw", "sgd")) == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    momentum = number(config, "momentum")
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, weight_decay=decay, nesterov=momentum > 0)


def adjust(optimizer: torch.optim.Optimizer, config: Config, progress: float) -> None:
    """Set learning rate, weight decay and momentum as `config` has them now.

    Args:
        optimizer: Changed in place.
        config: Read anew each time: hot values may have changed.
        progress: Share of the full training done, in [0, 1).
    """
    rate = learning_rate(config, progress)
    for group in optimizer.param_groups:
        group["lr"], group["weight_decay"] = rate, number(config, "weight_decay")
        if "momentum" in group:
            group["momentum"] = number(config, "momentum")
            group["nesterov"] = group["momentum"] > 0


def learning_rate(config: Config, progress: float) -> float:
    """Return the learning rate after a share `progress` of the full training.

    It rises linearly over the share `warmup`, then stays (`constant`) or falls to 0, along half a
    cosine (`cosine`) or a straight line (`linear`).
    """
    peak, warmup = number(config, "learning_rate"), number(config, "warmup")
    schedule = one_of(config, "schedule", ("cosine", "constant", "linear"))
    if progress < warmup:
        # Not from 0: the first batches would be spent on nothing.
        return peak * max(progress / warmup, 0.01)
    if schedule == "constant" or warmup >= 1.0:
        return peak
    if schedule == "linear":
        return peak * (1.0 - progress) / (1.0 - warmup)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))


def number(config: Config, name: str) -> float:
    """Return the number `name` of `config`, its default where it has none.

    Raises:
        SpaceError: It is no number, or out of its range.
    """
    return bounded(config, name, DEFAULTS[name], _LOW[name], _HIGH.get(name, math.inf))


def bounded(config: Config, name: str, default: float, low: float, high: float = math.inf) -> float:
    """Return the number `name` of `config`, which must lie in [low, high]; `default` where it has none.

    Raises:
        SpaceError: It is no number, or out of its range.
    """
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        rule = f"must be a number from {low:g} to {high:g}"
        raise SpaceError("configuration", [Problem(name, rule, shown(value))])
    return value


def one_of(config: Config, name: str, known: tuple[str, ...]) -> str:
    """Return the choice `name` of `config`, its default where it has none.

    Raises:
        SpaceError: The choice is not known.
    """
    value = cast("str", config.get(name, DEFAULTS[name]))
    if value not in known:
        raise SpaceError("configuration", [Problem(name, f"must be one of {', '.join(known)}", shown(value))])
    return value
