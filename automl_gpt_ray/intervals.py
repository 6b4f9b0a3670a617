"""Arithmetic of a closed interval of numbers: its map to [0, 1], its grid, and when it is well formed.

Notation: `low` and `high` are the ends, both included; `log` asks for a logarithmic scale, on which
`low` is above 0; `unit` is a point of [0, 1]; `step` is the distance between values of a grid that
begins at `low`. Knows no parameter: `parameters` gives these numbers their names and meaning.
"""

from __future__ import annotations

import math


def within(value: float, low: float, high: float) -> bool:
    """Return whether low <= value <= high, with one part in 1e12 of slack.

    Values survive JSON and logarithms, not bit for bit.
    """
    slack = 1e-12 * max(abs(low), abs(high))
    return low - slack <= value <= high + slack


def to_unit(value: float, low: float, high: float, log: bool) -> float:
    """Map [low, high] to [0, 1], linearly or logarithmically; 0.5 where the range is one point."""
    if low == high:
        return 0.5
    if log:
        value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
    return min(1.0, max(0.0, (value - low) / (high - low)))


def from_unit(unit: float, low: float, high: float, log: bool) -> float:
    """Map [0, 1] to [low, high]; the inverse of `to_unit`."""
    unit = min(1.0, max(0.0, unit))
    if log:
        return math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
    return low + unit * (high - low)


def padded(low: float, top: float, step: float, log: bool) -> tuple[float, float]:
    """Return the ends of a grid, each moved out by half a step so that every value has a whole share."""
    return (low / 2 if log and low <= step / 2 else low - step / 2), top + step / 2


def readable(value: float, low: float, high: float, log: bool) -> float:
    """Return `value` in six digits, or as many more as it takes to stay within 1e-5 of the range."""
    width = value * math.log(high / low) if log else high - low
    for digits in (6, 9, 12):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= 1e-5 * width:
            return short
    return value


def check_range(low: float, high: float, log: bool, step: float | None, default: float | None) -> None:
    """Check what must hold between the fields of a numeric parameter.

    Raises:
        ValueError: As `rule | remedy`, the form that `errors.problems_of` takes apart.
    """
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low)):
        raise ValueError("`low` and `high` must be finite | give the widest range worth trying")
    if low > high:
        raise ValueError(f"`low` <= `high` must hold, got {low:g} > {high:g} | swap them")
    if log and low <= 0:
        raise ValueError(f"`low` must be above 0 on a log scale, got {low:g} | raise `low` or drop `log`")
    if step is not None and not (step > 0 and math.isfinite(step)):
        raise ValueError(f"`step` must be above 0, got {step:g} | remove it for a continuous range")
    if step is not None and (high - low) / step > 2**53:
        raise ValueError(f"`step` must be a larger share of the range, got {step:g} | remove it")
    if default is not None and not low <= default <= high:
        raise ValueError(
            f"`default` must lie in [{low:g}, {high:g}], got {default:g} | move the default or widen the range"
        )
