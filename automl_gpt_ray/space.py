"""The search space: named parameters, the conditions between them, and the default configuration.

One type for the whole system. Adapters turn it into Ray Tune domains (`ray_tune.domains`) and
Optuna distributions (`advisors.classical`); this file knows neither.

    space = SearchSpace({"eta": FloatParameter(low=0.01, high=0.5, log=True, default=0.3)})
    space.validate({"eta": 0.1})          # -> {"eta": 0.1}, or SpaceError with every problem
    space.default                         # -> {"eta": 0.3}
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain, islice
from typing import Any

import numpy as np

from automl_gpt_ray.errors import Problem, SpaceError, did_you_mean, shown
from automl_gpt_ray.parameters import (
    ChoiceParameter,
    ConstantParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from automl_gpt_ray.records import Config, Scalar, config_key

# Names stand in prompts, schemas and tables as they are.
MAX_NAME = 200


class SearchSpace:
    """Named parameters in a fixed order, parents before the children that depend on them.

    Args:
        parameters: Name to parameter. A `when` may name only parameters that stand before it.

    Raises:
        SpaceError: A name is too long or cannot be printed; a condition names an unknown or later
            parameter, or a value it cannot take.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters: dict[str, Parameter] = dict(parameters)
        problems = [*_name_problems(self.parameters), *self._condition_problems()]
        if problems:
            raise SpaceError("search space", problems)

    def __len__(self) -> int:
        return len(self.parameters)

    def __contains__(self, name: object) -> bool:
        return name in self.parameters

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.parameters == other.parameters

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def searched(self) -> dict[str, FloatParameter | IntParameter | ChoiceParameter]:
        """The parameters that have something to choose."""
        return {n: p for n, p in self.parameters.items() if not isinstance(p, ConstantParameter)}

    @property
    def default(self) -> dict[str, Scalar]:
        """The default configuration: what every method starts from."""
        return self.build(lambda name, parameter: parameter.start)

    def build(self, choose: Any) -> dict[str, Scalar]:
        """Compose a configuration by `choose(name, parameter)` for each active parameter in order."""
        config: dict[str, Scalar] = {}
        for name, parameter in self.parameters.items():
            if self.is_active(name, config):
                config[name] = choose(name, parameter)
        return config

    def is_active(self, name: str, config: Config) -> bool:
        """Return whether parameter `name` exists under the values of `config`: its parents do, with such values."""
        conditions = self.parameters[name].when
        return not conditions or all(
            parent in config and _among(config[parent], values) and self.is_active(parent, config)
            for parent, values in conditions.items()
        )

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """Return everything that is wrong with `config`; empty when it may be trained."""
        config = self._with_constants(config)
        unknown = [
            Problem(name, "unknown hyperparameter", shown(config[name]), did_you_mean(str(name), self.parameters))
            for name in config
            if name not in self.parameters
        ]
        return unknown + [p for name in self.parameters if (p := self._problem(name, config))]

    def validate(self, config: Mapping[str, Any]) -> dict[str, Scalar]:
        """Return `config` in the space's order and types (3.0 becomes 3 for an int).

        Raises:
            SpaceError: With every problem found.
        """
        problems = self.problems(config)
        if problems:
            raise SpaceError("configuration", problems)
        return self.build(lambda name, parameter: parameter.clip(config.get(name, parameter.start)))

    def clip(self, config: Mapping[str, Any]) -> tuple[dict[str, Scalar], list[str]]:
        """Return the nearest allowed configuration and a note on each change that was needed.

        Missing values become defaults; unknown and inactive ones are dropped.
        """
        notes = [f"{p.field}: {p.rule}, got {p.got or 'nothing'}" for p in self.problems(config)]
        return self.build(lambda name, p: p.clip(config[name]) if name in config else p.start), notes

    def sample(self, rng: np.random.Generator) -> dict[str, Scalar]:
        """Draw a configuration uniformly (log-uniformly where `log`)."""
        return self.build(lambda name, parameter: parameter.from_unit(float(rng.random())))

    def neighbour(self, config: Config, rng: np.random.Generator, scale: float = 0.1) -> dict[str, Scalar]:
        """Return a configuration near `config`: one to three parameters moved, the others kept.

        Args:
            config: A valid configuration.
            rng: Source of randomness.
            scale: Standard deviation of a move, as a share of the range.
        """
        movable = [name for name in self.searched if name in config]
        count = min(len(movable), int(rng.integers(1, 4)))
        chosen = {movable[i] for i in rng.permutation(len(movable))[:count]} if movable else set()

        def move(name: str, parameter: Parameter) -> Scalar:
            if name not in config:
                return parameter.start
            return _step(parameter, config[name], rng, scale) if name in chosen else config[name]

        return self.build(move)

    def to_unit(self, config: Config) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return shape (searched parameters,), each in [0, 1]; NaN where inactive."""
        return np.array(
            [p.to_unit(config[n]) if n in config else math.nan for n, p in self.searched.items()], dtype=float
        )

    def to_vector(self, config: Config) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return what models of configurations read, shape (`vector_size`,), every entry in [0, 1].

        A number stands as its place in its range, a choice as one entry an option (1 for the one taken). A
        parameter with a condition has one more entry, 1 where it exists; where it does not, its others stand
        at the centre (a number) or at 0 (a choice).
        """
        return np.array(
            [entry for name, p in self.searched.items() for entry in _entries(p, config, name)], dtype=float
        )

    @cached_property
    def vector_size(self) -> int:
        """How many entries `to_vector` returns."""
        return sum(
            (len(p.choices) if isinstance(p, ChoiceParameter) else 1) + bool(p.when) for p in self.searched.values()
        )

    def key(self, config: Config) -> str:
        """Return a text equal for configurations that train the same (12 significant digits)."""
        return config_key(config)

    def configurations(self, limit: int) -> list[dict[str, Scalar]] | None:
        """Return every configuration there is, or None where there are more than `limit`."""
        found: list[dict[str, Scalar]] = [{}]
        for name, parameter in self.parameters.items():
            values = _values(parameter, limit)
            if values is None:
                return None
            branches = ([{**c, name: v} for v in values] if self.is_active(name, c) else [c] for c in found)
            found = list(islice(chain.from_iterable(branches), limit + 1))
            if len(found) > limit:
                return None
        return found

    def explain(self) -> list[str]:
        """Return one line a parameter for a person: its range, default and condition."""
        return [f"{name}: {describe(parameter)}" for name, parameter in self.parameters.items()]

    def _with_constants(self, config: Mapping[str, Any]) -> dict[str, Any]:
        # Constants need not be written; conditions on them hold all the same.
        full = dict(config)
        for name, parameter in self.parameters.items():
            if isinstance(parameter, ConstantParameter) and name not in full and self.is_active(name, full):
                full[name] = parameter.value
        return full

    def _problem(self, name: str, config: Mapping[str, Any]) -> Problem | None:
        parameter = self.parameters[name]
        active = self.is_active(name, config)
        if name not in config:
            return Problem(name, "is missing", remedy=f"the default is {parameter.start!r}") if active else None
        if not active:
            return Problem(name, f"exists only when {_conditions(parameter)}", shown(config[name]), "leave it out")
        fault = parameter.fault(config[name])
        return Problem(name, fault, shown(config[name])) if fault else None

    def _condition_problems(self) -> Iterator[Problem]:
        seen: dict[str, Parameter] = {}
        for name, parameter in self.parameters.items():
            for parent, values in parameter.when.items():
                if not values:
                    yield Problem(f"{name}.when.{parent}", "must list at least one value", "[]", "remove the condition")
                if parent not in seen:
                    remedy = "define it earlier" if parent in self.parameters else did_you_mean(parent, seen)
                    yield Problem(f"{name}.when.{parent}", "must name a parameter defined before", parent, remedy)
                    continue
                for value in values:
                    if fault := seen[parent].fault(value):
                        yield Problem(f"{name}.when.{parent}", f"`{parent}` {fault}", shown(value))
            seen[name] = parameter


def describe(parameter: Parameter) -> str:
    """Return a parameter's range, default and condition in words: `0.01 to 0.5, log scale; default 0.3`."""
    condition = f"; only when {_conditions(parameter)}" if parameter.when else ""
    if isinstance(parameter, ConstantParameter):
        return f"fixed at {parameter.value!r}{condition}"
    if isinstance(parameter, ChoiceParameter):
        domain = "one of " + ", ".join(map(repr, parameter.choices))
    else:
        whole = "whole number " if isinstance(parameter, IntParameter) else ""
        # `g` would write a whole number from a million up as 1e+06.
        low, high = (f"{end}" if whole else f"{end:g}" for end in (parameter.low, parameter.high))
        domain = f"{whole}{low} to {high}"
        domain += ", log scale" if parameter.log else ""
        domain += f", in steps of {parameter.step:g}" if parameter.step not in (None, 1 if whole else None) else ""
    return f"{domain}; default {parameter.start!r}{condition}"


def _name_problems(names: Iterable[str]) -> list[Problem]:
    rule = f"a name must be of 1 to {MAX_NAME} printable characters"
    return [
        Problem(shown(name), rule, remedy="rename it")
        for name in names
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable()
    ]


def _conditions(parameter: Parameter) -> str:
    return " and ".join(f"{n} is {' or '.join(map(repr, v))}" for n, v in parameter.when.items())


def _entries(parameter: Parameter, config: Config, name: str) -> list[float]:
    active = name in config
    exists = [float(active)] if parameter.when else []
    if isinstance(parameter, ChoiceParameter):
        chosen = parameter.index(config[name]) if active else -1
        return exists + [float(i == chosen) for i in range(len(parameter.choices))]
    return [*exists, parameter.to_unit(config[name]) if active else 0.5]


def _among(value: Scalar, values: list[Scalar]) -> bool:
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)


def _values(parameter: Parameter, limit: int) -> list[Scalar] | None:
    if isinstance(parameter, ConstantParameter):
        return [parameter.value]
    if isinstance(parameter, ChoiceParameter):
        return parameter.choices
    size = parameter.grid_size
    if size is None or size > limit:
        return None
    return [parameter.clip(parameter.low + i * (parameter.step or 1)) for i in range(size)]


def _step(parameter: Parameter, value: Scalar, rng: np.random.Generator, scale: float) -> Scalar:
    if isinstance(parameter, ConstantParameter):
        return value
    if isinstance(parameter, ChoiceParameter):
        taken = parameter.index(value)
        others = [c for i, c in enumerate(parameter.choices) if i != taken]
        return others[int(rng.integers(len(others)))] if others else value
    unit = parameter.to_unit(value)
    # A move that rounds back to where it was is no move: widen until it is one, or give up.
    for widen in (1.0, 2.0, 4.0):
        moved = parameter.from_unit(_reflect(unit + float(rng.normal(0.0, scale * widen))))
        if moved != value:
            return moved
    return value


def _reflect(unit: float) -> float:
    unit = abs(unit) % 2.0
    return 2.0 - unit if unit > 1.0 else unit
