"""Sparklines: a curve as a line of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
GAP, DIVERGED = " ", "×"


def sparkline(points: Sequence[tuple[float, float]], ends: tuple[float, float], steps: int, width: int) -> str:
    """Return a curve in `width` characters: the last value of each stretch of steps, blank where there is none.

    Args:
        points: (step from 1, value), steps increasing; NaN and infinities become ×.
        ends: The values of the lowest and the highest block; beyond them is cut off.
        steps: Of the whole width.
        width: Characters.
    """
    line = [GAP] * width
    for step, value in points:
        last = min(width - 1, max(0, math.ceil(step * width / max(1, steps)) - 1))
        for place in range(min(last, math.floor((step - 1) * width / max(1, steps))), last + 1):
            line[place] = _block(value, *ends)
    # What lies between two reports is drawn as the earlier one.
    end = max((i for i, c in enumerate(line) if c != GAP), default=-1)
    for i in range(1, end):
        line[i] = line[i - 1] if line[i] == GAP else line[i]
    return "".join(line)


def _block(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return DIVERGED
    share = (value - low) / (high - low) if high > low else 0.5
    return BLOCKS[min(len(BLOCKS) - 1, max(0, int(share * len(BLOCKS))))]
