"""Problems to tune: what a configuration reports at each step, without training anything.

    problem = load("lcbench", curves)[0]
    curve = problem.open(problem.brief.space.default)
    problem.report(curve, 1)              # {"val_balanced_accuracy": 0.61}

A `Table` answers a configuration that was not recorded with its nearest neighbour in the unit cube:
numbers on their own scale (log where named), choices equal or not, an inactive number in the middle. The
neighbour is what is trained, so methods are told it (`snap`). How it is looked up:

* `fresh`: the nearest row that the run has not trained yet. The same curve a second time would teach a method
  nothing, where the configuration it asked for would have;
* `repeats`: the nearest row, again and again where proposals lie close together;
* `untold`: the same, and methods are left in the belief that what they proposed was trained: noise to
  everybody who models configurations.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, final

import numpy as np
import numpy.typing as npt

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import ChoiceParameter
from automl_gpt_ray.ray_tune.domains import flatten, nest
from automl_gpt_ray.records import Config
from automl_gpt_ray.space import SearchSpace

Floats = npt.NDArray[np.float64]
Lookup = Literal["fresh", "repeats", "untold"]


class RevisionError(ValueError):
    """A problem that cannot say what happens when a trial's configuration changes on the way."""


class Problem(Protocol):
    """Something to tune in virtual time.

    Attributes:
        name: Unique within its suite.
        suite: Where it comes from.
        brief: What a tuner is told: space, default, objective, steps, cards.
        best: Best value of any configuration at any step.
        median: Median over configurations of the final value.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - told above
    @property
    def suite(self) -> str: ...  # noqa: D102
    @property
    def brief(self) -> Brief: ...  # noqa: D102
    @property
    def best(self) -> float: ...  # noqa: D102
    @property
    def median(self) -> float: ...  # noqa: D102

    def open(self, config: Mapping[str, Any]) -> int:
        """Return the handle of the curve of `config`, nested or flat; the same one may come again."""
        ...

    def snap(self, config: Mapping[str, Any], tried: Collection[int] = ()) -> Mapping[str, Any]:
        """Return the configuration, nested, that is trained where `config` is asked for; methods are told it.

        Args:
            config: Nested or flat.
            tried: Curves that the run has opened.
        """
        ...

    def length(self, curve: int) -> int:
        """Return the steps of a curve; fewer than `brief.max_steps` where it fails."""
        ...

    def fails(self, curve: int) -> bool:
        """Return whether the training fails after its last step (diverged, out of memory)."""
        ...

    def seconds(self, curve: int, step: int) -> float:
        """Return the training seconds of `step`, from 1."""
        ...

    def report(self, curve: int, step: int) -> Mapping[str, float]:
        """Return the metrics of `step`, the objective among them; NaN where it diverged."""
        ...

    def test(self, curve: int) -> float:
        """Return the objective on held-out data after the full training; NaN where not known."""
        ...

    def revise(self, curve: int, step: int, config: Mapping[str, Any]) -> int:
        """Return the curve of a trial that goes on with `config` after `step`.

        Raises:
            RevisionError: The problem does not know.
        """
        ...


@final
@dataclass(frozen=True)
class Table:
    """Recorded curves.

    Attributes:
        name: Of the task.
        suite: Where it comes from.
        brief: What a tuner is told.
        configs: One a row; flat.
        values: Shape (rows, steps): the objective, NaN from the step at which a training diverged.
        step_seconds: Shape (rows, steps).
        tests: Shape (rows,): the objective on held-out data after the full training.
        lengths: Shape (rows,): steps that were reported.
        failed: Shape (rows,): whether the training failed after them.
        more: Further metrics by name, each like `values`.
        numbers: Of the data set: examples, columns, classes; empty where not known.
        lookup: Which row answers for a proposal, and who knows; see the module.
    """

    name: str
    suite: str
    brief: Brief
    configs: Sequence[Config]
    values: Floats
    step_seconds: Floats
    tests: Floats
    lengths: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    more: Mapping[str, Floats] = field(default_factory=dict)
    numbers: tuple[float, ...] = ()
    lookup: Lookup = "fresh"

    def __post_init__(self) -> None:
        points = np.array([embed(self.brief.space, config) for config in self.configs])
        object.__setattr__(self, "_points", points)
        sign = self.brief.objective.sign
        signed = np.where(np.isfinite(self.values), sign * self.values, -math.inf)
        finals = signed[np.arange(len(signed)), np.maximum(self.lengths, 1) - 1]
        finals = np.where(self.failed, -math.inf, finals)
        object.__setattr__(self, "best", float(sign * signed.max()))
        object.__setattr__(self, "median", float(sign * np.median(finals[np.isfinite(finals)])))
        tests = sign * self.tests[np.isfinite(self.tests)]
        object.__setattr__(self, "test_best", float(sign * tests.max()) if len(tests) else math.nan)
        object.__setattr__(self, "test_median", float(sign * np.median(tests)) if len(tests) else math.nan)

    best: float = field(init=False)
    median: float = field(init=False)
    test_best: float = field(init=False)
    test_median: float = field(init=False)
    _points: Floats = field(init=False)

    def open(self, config: Mapping[str, Any]) -> int:
        """Return the row nearest to `config`."""
        return int(self._distances(config).argmin())

    def snap(self, config: Mapping[str, Any], tried: Collection[int] = ()) -> Mapping[str, Any]:
        """Return the configuration of the row that answers for `config`; `config` itself where nobody is told."""
        if self.lookup == "untold":
            return config
        distances = self._distances(config)
        if self.lookup == "fresh" and len(tried) < len(self.configs):
            distances[list(tried)] = math.inf
        return nest(self.configs[int(distances.argmin())])

    def _distances(self, config: Mapping[str, Any]) -> Floats:
        point = embed(self.brief.space, flatten(config))
        return np.asarray(np.square(self._points - point).sum(axis=1))

    def length(self, curve: int) -> int:
        """Return the steps that were recorded."""
        return int(self.lengths[curve])

    def fails(self, curve: int) -> bool:
        """Return whether the training failed."""
        return bool(self.failed[curve])

    def seconds(self, curve: int, step: int) -> float:
        """Return the seconds of `step`."""
        return float(self.step_seconds[curve, step - 1])

    def report(self, curve: int, step: int) -> Mapping[str, float]:
        """Return the recorded metrics of `step`."""
        more = {name: float(values[curve, step - 1]) for name, values in self.more.items()}
        return {**more, self.brief.objective.metric: float(self.values[curve, step - 1])}

    def test(self, curve: int) -> float:
        """Return the recorded test value."""
        return float(self.tests[curve])

    def revise(self, curve: int, step: int, config: Mapping[str, Any]) -> int:
        """Return the curve of `config` where nothing was trained yet; else no table knows."""
        if step == 0:
            return self.open(config)
        raise RevisionError(f"`{self.name}` holds whole curves: it cannot tell what a change after step {step} does")


def embed(space: SearchSpace, config: Config) -> Floats:
    """Return a point whose squared distance to another sums that of each hyperparameter, at most 1 each."""
    parts: list[float] = []
    for name, parameter in space.searched.items():
        active = name in config and space.is_active(name, config)
        if isinstance(parameter, ChoiceParameter):
            hot = parameter.index(config[name]) if active else -1
            parts += [math.sqrt(0.5) * (k == hot) for k in range(len(parameter.choices))]
        else:
            parts.append(parameter.to_unit(config[name]) if active else 0.5)
    return np.array(parts)


def seated(table: Table) -> Table:
    """Return `table` with the default moved to the row that answers for it.

    Told of another configuration than the default, our searchers would propose the default again and again.
    """
    return started_from(table, table.open(table.brief.space.default))


def started_from(table: Table, row: int) -> Table:
    """Return `table` with the configuration of `row` as the default that every method starts from."""
    config = table.configs[row]
    parameters = {
        name: parameter if name not in config else parameter.model_copy(update={"default": config[name]})
        for name, parameter in table.brief.space.parameters.items()
    }
    return replace(table, brief=replace(table.brief, space=SearchSpace(parameters)))


def median_row(table: Table) -> int:
    """Return the row whose final value is the table's median: a start from which there is all to gain."""
    finals = table.values[np.arange(len(table.values)), np.maximum(table.lengths, 1) - 1]
    distance = np.abs(np.where(table.failed | ~np.isfinite(finals), math.inf, finals) - table.median)
    return int(distance.argmin())
