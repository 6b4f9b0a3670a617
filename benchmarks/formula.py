"""A problem by formula: exact at any configuration, and under revision. For tests and for live runs.

Each step closes a share of the gap to what the configuration can reach, so the value depends on every
configuration the trial had on the way:

    top(c)   = -(log10 lr + 2)^2 - momentum / 10
    share(c) = 0.2 + 0.6 momentum
    v_0 = -10,  v_k = v_{k-1} + share(c_k) (top(c_k) - v_{k-1})
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, final

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import FloatParameter
from automl_gpt_ray.records import Objective
from automl_gpt_ray.space import SearchSpace

SPACE = SearchSpace(
    {
        "lr": FloatParameter(low=1e-4, high=1.0, log=True, default=0.3),
        "momentum": FloatParameter(low=0.0, high=0.9, default=0.0),
    }
)
START = -10.0


@dataclass
class _Course:
    config: dict[str, Any]
    values: list[float]


@final
class Formula:
    """A `Problem` without a table; every trial has a curve of its own.

    Args:
        steps: Of a full training.
        breaks_above: Trainings with a larger `lr` fail after their second step.
        step_s: Virtual seconds of a step at momentum 0; each tenth of momentum adds a tenth of it.
    """

    name, suite = "formula", "formula"
    best, median = 0.0, -2.0

    def __init__(self, steps: int = 9, breaks_above: float = math.inf, step_s: float = 1.0) -> None:
        self.brief = Brief(SPACE, Objective("score", "max"), steps)
        self._breaks_above, self._step_s = breaks_above, step_s
        self._courses: list[_Course] = []

    def open(self, config: Mapping[str, Any]) -> int:
        """Begin a curve."""
        self._courses.append(_Course(dict(config), [START]))
        return len(self._courses) - 1

    def snap(self, config: Mapping[str, Any], tried: Collection[int] = ()) -> Mapping[str, Any]:
        """Return `config`: a formula knows every configuration."""
        return config

    def length(self, curve: int) -> int:
        """Return its steps."""
        return 2 if self.fails(curve) else self.brief.max_steps

    def fails(self, curve: int) -> bool:
        """Return whether its learning rate is too large."""
        return float(self._courses[curve].config["lr"]) > self._breaks_above

    def seconds(self, curve: int, step: int) -> float:
        """Return the seconds of a step."""
        return self._step_s * (1.0 + float(self._courses[curve].config["momentum"]))

    def report(self, curve: int, step: int) -> Mapping[str, float]:
        """Return the score at `step`; later ones follow from it."""
        course = self._courses[curve]
        while len(course.values) <= step:
            course.values.append(advance(course.values[-1], course.config))
        return {"score": course.values[step]}

    def test(self, curve: int) -> float:
        """Return what the configuration can reach: there is no noise."""
        return top(self._courses[curve].config)

    def revise(self, curve: int, step: int, config: Mapping[str, Any]) -> int:
        """Return a curve that shares the first `step` steps and goes on with `config`."""
        self.report(curve, step)
        self._courses.append(_Course(dict(config), self._courses[curve].values[: step + 1]))
        return len(self._courses) - 1


def top(config: Mapping[str, Any]) -> float:
    """Return the score that a configuration tends to."""
    return -((math.log10(config["lr"]) + 2) ** 2) - float(config["momentum"]) / 10


def advance(value: float, config: Mapping[str, Any]) -> float:
    """Return the score one step after `value`."""
    return value + (0.2 + 0.6 * float(config["momentum"])) * (top(config) - value)
