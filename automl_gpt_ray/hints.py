"""Hints: what a person's feedback asks of every further proposal, whoever makes it. Pure.

A hyperparameter that was fixed has that value. One that was narrowed and stands outside keeps its place in the
range, on the scale of the range, within the narrower one: an optimiser that knows nothing of the hint still
spreads over all of it. Where a hint holds for a hyperparameter that the configuration lacks, nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from automl_gpt_ray.errors import Problem, did_you_mean, shown
from automl_gpt_ray.feedback import Feedback, Value
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, IntParameter, Parameter
from automl_gpt_ray.records import Config, Scalar
from automl_gpt_ray.space import SearchSpace


@dataclass(frozen=True)
class Hints:
    """The hints in force: name to value or range, and to the id of the feedback that said so."""

    fixed: Mapping[str, tuple[Value, str]] = field(default_factory=dict)
    narrowed: Mapping[str, tuple[tuple[float, float], str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fixed or self.narrowed)

    def applied(self, config: Config, space: SearchSpace) -> tuple[dict[str, Scalar], tuple[str, ...]]:
        """Return the nearest configuration that follows the hints, and a note on each value that was changed."""
        notes: list[str] = []

        def choose(name: str, parameter: Parameter) -> Scalar:
            value = config.get(name, parameter.start)
            wanted, by = self._wanted(name, parameter, value)
            if by and wanted != value and name in config:
                notes.append(f"{name} was {shown(value)}, is {shown(wanted)} by feedback {by}")
            return wanted

        return space.build(choose), tuple(notes)

    def _wanted(self, name: str, parameter: Parameter, value: Scalar) -> tuple[Scalar, str]:
        if name in self.fixed:
            fixed, by = self.fixed[name]
            return parameter.clip(fixed), by
        if name not in self.narrowed or isinstance(parameter, ChoiceParameter | ConstantParameter):
            return value, ""
        (low, high), by = self.narrowed[name]
        if isinstance(value, int | float) and low <= value <= high:
            return value, ""
        place = float(_narrower(parameter, low, high).from_unit(parameter.to_unit(value)))
        # A grid may round it out of the range again.
        return next(v for v in (parameter.clip(place), *_inside(parameter, low, high)) if low <= v <= high), by


def hints_of(feedback: Iterable[Feedback]) -> Hints:
    """Return the hints in force after all of `feedback`, oldest first: the last word on a hyperparameter counts."""
    fixed: dict[str, tuple[Value, str]] = {}
    narrowed: dict[str, tuple[tuple[float, float], str]] = {}
    for said in feedback:
        for name in (*said.freed, *said.fixed, *said.narrowed):
            fixed.pop(name, None)
            narrowed.pop(name, None)
        fixed |= {name: (value, said.id) for name, value in said.fixed.items()}
        narrowed |= {name: (ends, said.id) for name, ends in said.narrowed.items()}
    return Hints(fixed, narrowed)


def hint_problems(said: Feedback, space: SearchSpace) -> list[Problem]:
    """Return everything that is wrong with the hints of one remark; empty where they may be followed."""
    problems = []
    for option, names in (("--fix", said.fixed), ("--narrow", said.narrowed), ("--free", said.freed)):
        for name in names:
            if name not in space.searched:
                rule = "must name a hyperparameter that is searched"
                problems.append(Problem(option, rule, shown(name), did_you_mean(str(name), space.searched)))
    known = {name: value for name, value in said.fixed.items() if name in space.searched}
    problems += [
        Problem(f"--fix {name}", fault, shown(value))
        for name, value in known.items()
        if (fault := space.parameters[name].fault(value))
    ]
    for name, ends in said.narrowed.items():
        if name in space.searched:
            problems += _range_problems(name, space.searched[name], ends)
    both = sorted(set(said.fixed) & set(said.narrowed))
    return problems + [Problem(f"--fix {name}", "must not be narrowed as well", remedy="do one") for name in both]


def _range_problems(name: str, parameter: Parameter, ends: tuple[float, float]) -> list[Problem]:
    if not isinstance(parameter, FloatParameter | IntParameter):
        return [Problem(f"--narrow {name}", "must be a number, for a range", "a choice", f"write --fix {name}=VALUE")]
    low, high = ends
    if not parameter.low <= low <= high <= parameter.high:
        rule = f"must be low:high within {parameter.low:g}:{parameter.high:g}"
        return [Problem(f"--narrow {name}", rule, f"{low:g}:{high:g}")]
    if not _inside(parameter, low, high):
        return [Problem(f"--narrow {name}", "must hold a value of the grid", f"{low:g}:{high:g}", "widen it")]
    return []


def _inside(parameter: FloatParameter | IntParameter, low: float, high: float) -> list[float]:
    return [v for end in (low, high, (low + high) / 2) if low <= (v := parameter.clip(end)) <= high]


def _narrower(parameter: FloatParameter | IntParameter, low: float, high: float) -> FloatParameter:
    # Without the grid: `clip` of the whole range puts the value back on it.
    return FloatParameter(low=low, high=high, log=parameter.log and low > 0)
