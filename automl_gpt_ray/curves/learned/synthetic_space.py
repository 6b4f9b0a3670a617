"""Configurations of synthetic problems, as a real run tries them.

Hyperparameters are continuous, whole numbers on a grid, or choices written as one entry an option. A context
opens with a default, which is usually decent; then come random configurations and clusters around the
incumbent, at the scales at which optimisers move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from automl_gpt_ray.curves.learned.draws import Draws

MOST_OPTIONS = 5


@final
@dataclass(frozen=True)
class Layout:
    """What the entries of a vector are, one layout a batch.

    Attributes:
        grid: For each entry the number of values of a whole number, 0 for a continuous one.
        groups: The choices: (first entry, number of options).
        size: Entries together.
    """

    grid: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]
    size: int


def layout(draws: Draws, hyperparameters: int, most: int) -> Layout:
    """Draw a layout of so many hyperparameters in at most `most` entries."""
    grid: list[int] = []
    groups: list[tuple[int, int]] = []
    mixed = float(draws.uniform(1).item()) < 0.5
    for _ in range(hyperparameters):
        kind = float(draws.uniform(1).item())
        options = draws.whole(2, MOST_OPTIONS)
        if mixed and kind < 0.25 and len(grid) + options <= most:
            groups.append((len(grid), options))
            grid += [0] * options
        elif len(grid) < most:
            grid.append(draws.whole(2, 9) if mixed and kind < 0.5 else 0)
    return Layout(tuple(grid), tuple(groups), len(grid))


def snapped(vectors: Tensor, told: Layout) -> Tensor:
    """Return raw entries in [0, 1] as configurations: whole numbers on their grid, one option a choice."""
    columns = [(vectors[..., i] * (n - 1)).round() / (n - 1) if n else vectors[..., i] for i, n in enumerate(told.grid)]
    for first, options in told.groups:
        taken = torch.stack(columns[first : first + options]).argmax(0)
        columns[first : first + options] = [(taken == i).float() for i in range(options)]
    return torch.stack(columns, -1)


def around(draws: Draws, centres: Tensor, count: int) -> Tensor:
    """Return raw entries near `centres` (problems, d): a few moved far or all moved a little.

    Shape (problems, count, d); reflected at the borders of the cube.
    """
    b, d = centres.shape
    scale = draws.log_uniform(b, count, 1, low=0.01, high=0.4)
    moved = draws.uniform(b, count, d) < draws.uniform(b, count, 1, low=1.0 / d, high=1.2)
    raw = centres[:, None] + moved * scale * draws.normal(b, count, d)
    raw = raw.abs().remainder(2.0)
    return torch.where(raw > 1, 2 - raw, raw)
