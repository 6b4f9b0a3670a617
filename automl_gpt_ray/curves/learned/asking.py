"""Asking networks: arrays in, quantiles of z out; all that inference needs of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from automl_gpt_ray.curves.learned.bins import UNTRIED, log_density, quantiles
from automl_gpt_ray.curves.learned.model import Network
from automl_gpt_ray.curves.learned.reading import Reading
from automl_gpt_ray.curves.predictor import Array

LEVELS = (0.1, 0.5, 0.9)


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """The answers to m questions.

    Attributes:
        logits: Of the bins, shape (m, bins).
        anchor: What the bins are around, in z, shape (m,).
    """

    logits: Tensor
    anchor: Array

    @property
    def quantiles(self) -> Array:
        """The 10, 50 and 90 % quantiles in z, shape (m, 3)."""
        found = quantiles(self.logits, torch.tensor(LEVELS)).double().numpy()
        return np.asarray(found + self.anchor[:, None])

    def log_density(self, z: Array) -> Array:
        """Return the log density at z, shape (m,)."""
        away = torch.tensor(z - self.anchor, dtype=torch.float32)
        return np.asarray(log_density(self.logits, away).double().numpy())


@torch.no_grad()
def ask(networks: Sequence[Network], reading: Reading, rows: Array, steps: Array, clean: float) -> Asked:
    """Ask for rows of a reading at shares `steps` of a full training, both of shape (m,).

    Args:
        networks: Whose distributions are averaged.
        reading: Context and curves.
        rows: Of the reading; may repeat.
        steps: Where to.
        clean: 1 for values without noise, 0 for reports.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        logits = [_logits(network, reading, rows, steps, clean) for network in networks]
    finally:
        torch.set_num_threads(threads)
    anchor = np.where(reading.seen > 0, reading.ends, UNTRIED)[rows]
    return Asked(torch.stack(logits).softmax(-1).mean(0).log(), anchor)


def _logits(network: Network, reading: Reading, rows: Array, steps: Array, clean: float) -> Tensor:
    count = len(reading.seen)
    tokens = network(
        _single(reading.steps)[None],
        _single(reading.z)[None],
        torch.from_numpy(reading.seen)[None],
        torch.from_numpy(reading.lost)[None],
        torch.full((1, count), reading.resolution),
        _single(reading.vectors)[None],
        reading.context,
    )[0]
    place = torch.from_numpy(np.asarray(rows))
    last = _single(reading.last)[place]
    return network.decode(tokens[place], _single(steps), last, torch.full((len(rows),), clean))


def _single(values: Array) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
