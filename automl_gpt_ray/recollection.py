"""What is recalled of earlier runs, as plain values: similar data sets, their best settings and logs.

`experience` finds them, prompts show them, advisors try them first; none of these knows another. They are
part of a run's brief, so the journal holds them and a replay needs no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from automl_gpt_ray.records import Mode, Scalar


@dataclass(frozen=True)
class RecalledSetting:
    """A setting that did well on a similar data set.

    Attributes:
        config: As it was trained there, perhaps in another model's search space.
        value: The best value it reached.
        curve: (step, value) at no more than five steps.
    """

    config: Mapping[str, Scalar]
    value: float
    curve: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class RecalledRun:
    """An earlier run on a data set like this one.

    Attributes:
        run: Its id in the store.
        data: Name of its data set. Untrusted text, as are all names here.
        description: What that data is, in words; the beginning.
        model: Name of its model.
        similarity: Of the data sets, in [0, 1].
        metric: What it optimised.
        mode: In which direction.
        max_step: Steps of a full training.
        trials: How many it trained.
        default: What its default configuration reached; None where it reported nothing.
        settings: The best, best first.
    """

    run: str
    data: str
    description: str
    model: str
    similarity: float
    metric: str
    mode: Mode
    max_step: int
    trials: int
    default: float | None
    settings: tuple[RecalledSetting, ...]


@dataclass(frozen=True)
class Recollection:
    """What a run is told of earlier ones.

    Attributes:
        runs: The most similar first.
        seeds: How many of their settings are tried right after the default.
        store: Where they were found.
        considered: How many runs were looked at.
        problems: What could not be read there.
    """

    runs: tuple[RecalledRun, ...] = ()
    seeds: int = 0
    store: str = ""
    considered: int = 0
    problems: tuple[str, ...] = ()
