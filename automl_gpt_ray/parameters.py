"""The kinds of hyperparameter: float, int, choice and constant, each checked as it is read.

A parameter knows its own range, default and condition, and maps its values to and from the unit
interval. It knows no other parameter: what holds between them is `space.SearchSpace`'s to say.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from automl_gpt_ray.records import Scalar

# Beyond this many steps a quantised range is as good as continuous, and listing it would not help.
MAX_GRID = 1000


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
        _check_range(self.low, self.high, self.log, self.step, self.default)
        return self

    @property
    def start(self) -> float:
        """The default, or the centre of the range (geometric on a log scale) where none is given."""
        return self.from_unit(0.5) if self.default is None else self.default

    def fault(self, value: Scalar) -> str:
        """Return why `value` is not allowed, or an empty string."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number"
        if not math.isfinite(value) or not _within(float(value), self.low, self.high):
            return f"must be between {self.low:g} and {self.high:g}"
        if self.step and abs(self._snap(float(value)) - value) > 1e-9 * max(1.0, abs(value)):
            return f"must be {self.low:g} plus a multiple of {self.step:g}"
        return ""

    def clip(self, value: Scalar) -> float:
        """Return the nearest allowed value; numbers written as text are read, anything else is `start`."""
        number = _as_number(value)
        return self.start if number is None else self._snap(min(max(number, self.low), self.high))

    def to_unit(self, value: Scalar) -> float:
        """Map an allowed value to [0, 1]."""
        return _to_unit(float(value), self.low, self.high, self.log)  # type: ignore[arg-type]

    def from_unit(self, unit: float) -> float:
        """Map [0, 1] to an allowed value, of six significant digits: more would only be noise to read."""
        return self._snap(float(f"{_from_unit(unit, self.low, self.high, self.log):.6g}"))

    def _snap(self, value: float) -> float:
        if self.step:
            top = math.floor((self.high - self.low) / self.step + 1e-9)
            value = self.low + min(top, round((value - self.low) / self.step)) * self.step
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
        _check_range(self.low, self.high, self.log, self.step, self.default)
        return self

    @property
    def start(self) -> int:
        """The default, or the centre of the range (geometric on a log scale) where none is given."""
        return self.from_unit(0.5) if self.default is None else self.default

    def fault(self, value: Scalar) -> str:
        """Return why `value` is not allowed, or an empty string."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            return "must be a whole number"
        if not math.isinf(value) and int(value) != value:
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
        """Map an allowed value to [0, 1]."""
        return _to_unit(float(value), self.low, self.high, self.log)  # type: ignore[arg-type]

    def from_unit(self, unit: float) -> int:
        """Map [0, 1] to an allowed value."""
        return self._snap(_from_unit(unit, self.low, self.high, self.log))

    def _snap(self, value: float) -> int:
        top = (self.high - self.low) // self.step
        return self.low + min(top, max(0, round((value - self.low) / self.step))) * self.step


class ChoiceParameter(_Parameter):
    """One of several values, without order."""

    type: Literal["choice"] = "choice"
    choices: list[Scalar] = Field(min_length=1)
    default: Scalar = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        keys = [_identity(c) for c in self.choices]
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


def _within(value: float, low: float, high: float) -> bool:
    # One part in 1e12 of slack: values survive JSON and logarithms, not bit for bit.
    slack = 1e-12 * max(abs(low), abs(high))
    return low - slack <= value <= high + slack


def _as_number(value: Scalar) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _to_unit(value: float, low: float, high: float, log: bool) -> float:
    if low == high:
        return 0.5
    if log:
        value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _from_unit(unit: float, low: float, high: float, log: bool) -> float:
    unit = min(1.0, max(0.0, unit))
    if log:
        return math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
    return low + unit * (high - low)


def _check_range(low: float, high: float, log: bool, step: float | None, default: float | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("`low` and `high` must be finite | give the widest range worth trying")
    if low > high:
        raise ValueError(f"`low` <= `high` must hold, got {low:g} > {high:g} | swap them")
    if log and low <= 0:
        raise ValueError(f"`low` must be above 0 on a log scale, got {low:g} | raise `low` or drop `log`")
    if step is not None and step <= 0:
        raise ValueError(f"`step` must be above 0, got {step:g} | remove it for a continuous range")
    if default is not None and not low <= default <= high:
        raise ValueError(
            f"`default` must lie in [{low:g}, {high:g}], got {default:g} | move the default or widen the range"
        )
