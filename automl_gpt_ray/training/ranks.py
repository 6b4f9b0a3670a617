"""The workers that train one model together, as torch.distributed knows them; a process alone is the only one.

Each has a rank, the first is 0: it scores, saves and reports, and the others wait for it. Knows nothing of who
started them.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import distributed

from automl_gpt_ray.errors import Problem, SpaceError, shown


def count() -> int:
    """Return how many workers train this model together."""
    return distributed.get_world_size() if _together() else 1


def first() -> bool:
    """Return whether this process is the one that scores, saves and reports."""
    return not _together() or distributed.get_rank() == 0


def share(batch: int) -> int:
    """Return this worker's share of a batch, which is that of all workers together.

    Raises:
        SpaceError: It cannot be divided evenly.
    """
    workers = count()
    if batch % workers:
        rule = f"is the batch of all {workers} workers together, and must be a multiple of {workers}"
        remedy = f"choose multiples of {workers}, or another `workers_per_trial`"
        raise SpaceError("configuration", [Problem("batch_size", rule, shown(batch), remedy)])
    return batch // workers


def told(value: Any) -> Any:
    """Return the `value` of the first worker, in all of them; all must call it."""
    if not _together():
        return value
    held = [value]
    distributed.broadcast_object_list(held)
    return held[0]


def draw_apart(seed: int, step: int) -> None:
    """Begin a step (from 1) with random numbers of its own in each worker, the same after a restart.

    A process alone draws on from where it is: its checkpoint holds where that was.
    """
    if not _together():
        return
    drawn = int(np.random.default_rng([seed, step, distributed.get_rank()]).integers(2**31 - 1))
    random.seed(drawn)
    np.random.seed(drawn)  # noqa: NPY002 - what others draw from
    torch.manual_seed(drawn)


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
