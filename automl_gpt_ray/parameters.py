"""The kinds of hyperparameter: float, int, choice and constant, each checked as it is read.

A parameter knows its own range, default and condition, and maps its values to and from the unit
interval. It knows no other parameter: what holds between them is `space.SearchSpace`'s to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from automl_gpt_ray import intervals
from automl_gpt_ray.records import Scalar

# Beyond this many steps a quantised range is as good as continuous, and listing it would not help.
MAX_GRID = 1000
# The largest whole number up to which floats count exactly: what the unit interval can tell apart.
MAX_INT = 2**53


class _Parameter(BaseModel):
    """What every parameter has.

    `when` names the values of other parameters under which this one exists: `{booster: [dart]}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    description: str = ""
    when: dict[str, list[Scalar]] = Field(default_factory=dict)


class FloatParameter(_Parameter):
    """A real number in [low, high], both ends included; on a grid from `low` when `step` is given."""

    type: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    step: float | None = None
    default: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        intervals.check_range(self.low, self.high, self.log, self.step, self.default)
        _check_default(self.default, self.fault)
        return self

    @property
    def start(self) -> float:
        """The default, or the centre of the range (geometric on a log scale) where none is given."""
        return self.from_unit(0.5) if self.default is None else self.default

    def fault(self, value: Scalar) -> str:
        """Return why `value` is not allowed, or an empty string."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number"
        # The range first: a whole number of hundreds of digits fits no float.
        if not intervals.within(value, self.low, self.high):
            return f"must be between {self.low:g} and {self.high:g}"
        if self.step and abs(self._snap(float(value)) - value) > 1e-9 * max(1.0, abs(value)):
            return f"must be {self.low:g} plus a multiple of {self.step:g}"
        return ""

    def clip(self, value: Scalar) -> float:
        """Return the nearest allowed value; numbers written as text are read, anything else is `start`."""
        number = _as_number(value)
        return self.start if number is None else self._snap(min(max(number, self.low), self.high))

    def to_unit(self, value: Scalar) -> float:
        """Map an allowed value to [0, 1]; on a grid, to the centre of its share."""
        return intervals.to_unit(float(value), *self._ends, self.log)  # type: ignore[arg-type]

    def from_unit(self, unit: float) -> float:
        """Map [0, 1] to an allowed value, of six significant digits: more would only be noise to read."""
        value = intervals.from_unit(unit, *self._ends, self.log)
        return self._snap(value if self.step else intervals.readable(value, self.low, self.high, self.log))

    @property
    def _ends(self) -> tuple[float, float]:
        return (
            intervals.padded(self.low, self.low + self._steps * self.step, self.step, self.log)
            if self.step
            else (self.low, self.high)
        )

    @property
    def grid_size(self) -> int | None:
        """How many values the grid holds; None without a `step`."""
        return self._steps + 1 if self.step else None

    @property
    def _steps(self) -> int:
        return math.floor((self.high - self.low) / self.step + 1e-9) if self.step else 0

    def _snap(self, value: float) -> float:
        if self.step:
            value = self.low + min(self._steps, max(0, round((value - self.low) / self.step))) * self.step
            value = float(f"{value:.12g}")
        return min(max(value, self.low), self.high)


class IntParameter(_Parameter):
    """A whole number from `low` to `high`, both included; on a grid from `low` when `step` > 1."""

    type: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    step: int = 1
    default: int | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if max(abs(self.low), abs(self.high), self.step) > MAX_INT:
            raise ValueError("`low`, `high` and `step` must lie within ±2**53 | use a float on a log scale")
        intervals.check_range(self.low, self.high, self.log, self.step, self.default)
        _check_default(self.default, self.fault)
        return self

    @property
    def start(self) -> int:
        """The default, or the centre of the range (geometric on a log scale) where none is given."""
        return self.from_unit(0.5) if self.default is None else self.default

    def fault(self, value: Scalar) -> str:
        """Return why `value` is not allowed, or an empty string."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a whole number"
        if isinstance(value, float) and (math.isnan(value) or (math.isfinite(value) and value % 1)):
            return "must be a whole number"
        if not self.low <= value <= self.high:
            return f"must be between {self.low} and {self.high}"
        if (value - self.low) % self.step:
            return f"must be {self.low} plus a multiple of {self.step}"
        return ""

    def clip(self, value: Scalar) -> int:
        """Return the nearest allowed value; numbers written as text are read, anything else is `start`."""
        number = _as_number(value)
        return self.start if number is None else self._snap(min(max(number, self.low), self.high))

    def to_unit(self, value: Scalar) -> float:
        """Map an allowed value to the centre of its share of [0, 1]."""
        return intervals.to_unit(float(value), *self._ends, self.log)  # type: ignore[arg-type]

    def from_unit(self, unit: float) -> int:
        """Map [0, 1] to an allowed value; without `log`, equal shares each."""
        return self._snap(intervals.from_unit(unit, *self._ends, self.log))

    @property
    def _ends(self) -> tuple[float, float]:
        return intervals.padded(self.low, self.low + self._steps * self.step, self.step, self.log)

    @property
    def grid_size(self) -> int:
        """How many values there are."""
        return self._steps + 1

    @property
    def _steps(self) -> int:
        return (self.high - self.low) // self.step

    def _snap(self, value: float) -> int:
        return self.low + min(self._steps, max(0, round((value - self.low) / self.step))) * self.step


class ChoiceParameter(_Parameter):
    """One of several values, without order."""

    type: Literal["choice"] = "choice"
    choices: list[Scalar] = Field(min_length=1)
    default: Scalar = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        keys = [_identity(c) for c in self.choices]
        if any(isinstance(c, float) and not math.isfinite(c) for c in self.choices):
            raise ValueError("`choices` must be finite | write NaN or infinity as a text the trainer understands")
        if len(set(keys)) != len(keys):
            raise ValueError("`choices` must differ | remove the repeated one")
        if "default" in self.model_fields_set and self.fault(self.default):
            raise ValueError(f"`default` {self.fault(self.default)} | choose a default from `choices`")
        return self

    @property
    def start(self) -> Scalar:
        """The default, or the first choice where none is given."""
        return self.default if "default" in self.model_fields_set else self.choices[0]

    def fault(self, value: Scalar) -> str:
        """Return why `value` is not allowed, or an empty string."""
        if any(_identity(value) == _identity(choice) for choice in self.choices):
            return ""
        return f"must be one of {', '.join(map(repr, self.choices))}"

    def clip(self, value: Scalar) -> Scalar:
        """Return the choice that reads the same (`"True"` for True), else `start`."""
        if not self.fault(value):
            return self.choices[self.index(value)]
        same = [c for c in self.choices if str(c).strip().lower() == str(value).strip().lower()]
        return same[0] if same else self.start

    def index(self, value: Scalar) -> int:
        """Return the position of an allowed value among the choices."""
        return [_identity(c) for c in self.choices].index(_identity(value))

    def to_unit(self, value: Scalar) -> float:
        """Map an allowed value to the centre of its share of [0, 1]."""
        return (self.index(value) + 0.5) / len(self.choices)

    def from_unit(self, unit: float) -> Scalar:
        """Map [0, 1] to a choice, equal shares each."""
        return self.choices[min(len(self.choices) - 1, int(unit * len(self.choices)))]


class ConstantParameter(_Parameter):
    """A value that is always the same; passed to the trainer, never searched."""

    type: Literal["constant"] = "constant"
    value: Scalar

    @property
    def start(self) -> Scalar:
        """The value."""
        return self.value

    def fault(self, value: Scalar) -> str:
        """Return why `value` is not allowed, or an empty string."""
        same = _identity(value) == _identity(self.value)
        return "" if same else f"is fixed at {self.value!r}"

    def clip(self, value: Scalar) -> Scalar:
        """Return the constant."""
        return self.value

    def to_unit(self, value: Scalar) -> float:
        """A constant carries no information."""
        return 0.0

    def from_unit(self, unit: float) -> Scalar:
        """Return the constant."""
        return self.value


Parameter = Annotated[FloatParameter | IntParameter | ChoiceParameter | ConstantParameter, Field(discriminator="type")]


def _identity(value: Scalar) -> tuple[str, Scalar]:
    # 1, 1.0 and True are equal in Python; 1 and 1.0 are one choice, True is another.
    kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    return kind, value


def _as_number(value: Scalar) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        # TypeError: a list or mapping from an unchecked reply. OverflowError: hundreds of digits.
        return None
    return number if math.isfinite(number) else None


def _check_default(default: float | None, fault: Callable[[Scalar], str]) -> None:
    if default is not None and (reason := fault(default)):
        raise ValueError(f"`default` {reason}, got {default:g} | move the default onto the grid")
