"""From raw evaluations to curves: normalised regret against epochs and against virtual time.

Notation, for one run with values v_1..v_n at virtual times t_1..t_n, larger better:
    best, median    of the task's table: its best value at any step, its median final value
    regret_k        (best - v_j) / (best - median), j <= k the one that looks best; 0 the best recorded, 1 the
                    median one. What looks best is best, unless methods were shown values with noise on them.
Diverged values count for nothing; before the first finite one the regret is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.raw import Raw

Floats = npt.NDArray[np.float64]

FRACTIONS = (0.1, 0.25, 0.5, 1.0)
"""Of the budget, at which tables give figures."""


@dataclass(frozen=True)
class Progress:
    """One run's regret.

    Attributes:
        raw: The run.
        regret: Shape (evaluations,): after each of them.
        seconds: Shape (evaluations,): their virtual time.
    """

    raw: Raw
    regret: Floats
    seconds: Floats

    def at_epochs(self, epochs: Sequence[float] | Floats) -> Floats:
        """Return the regret after so many epochs; the last one for ever after the run's end."""
        return self._at(np.floor(np.asarray(epochs, float)).astype(int))

    def at_seconds(self, seconds: Sequence[float] | Floats) -> Floats:
        """Return the regret at virtual times."""
        return self._at(np.searchsorted(self.seconds, np.asarray(seconds, float), side="right"))

    @property
    def final(self) -> float:
        """The regret at the end."""
        return float(self.regret[-1]) if len(self.regret) else 1.0

    @property
    def test(self) -> float:
        """The regret of the held-out value of the configuration chosen at the end, trained in full.

        Chosen by its best value on validation data; NaN where the table holds no test values.
        """
        row, about = self._chosen(), self.raw.about
        if row is None or about.test_best == about.test_median:
            return math.nan
        return (about.test_best - float(self.raw.columns["test"][row])) / (about.test_best - about.test_median)

    def _chosen(self) -> int | None:
        signed = _signed(self.raw, "shown")
        return int(np.argmax(signed)) if np.isfinite(signed).any() else None

    def _at(self, counts: npt.NDArray[np.int64]) -> Floats:
        padded = np.concatenate([[1.0], self.regret])
        return padded[np.clip(counts, 0, len(self.regret))]


def progress(raw: Raw) -> Progress:
    """Return a run's regret after each of its evaluations."""
    sign = 1.0 if raw.about.mode == "max" else -1.0
    top = _signed(raw, "value")[_incumbent(raw)] if len(raw.columns["value"]) else np.zeros(0)
    spread = sign * (raw.about.best - raw.about.median) or 1.0
    regret = (sign * raw.about.best - top) / spread
    return Progress(raw, np.where(np.isfinite(regret), regret, 1.0), raw.columns["seconds"].astype(float))


def _incumbent(raw: Raw) -> npt.NDArray[np.int64]:
    """Return the place of what looks best after each evaluation; the first of equals."""
    shown = _signed(raw, "shown")
    top = np.maximum.accumulate(shown)
    better = np.concatenate([[True], shown[1:] > top[:-1]])
    return np.asarray(np.maximum.accumulate(np.where(better, np.arange(len(shown)), 0)))


def _signed(raw: Raw, column: str) -> Floats:
    sign = 1.0 if raw.about.mode == "max" else -1.0
    values = raw.columns.get(column, raw.columns["value"]).astype(float)  # older results: shown is true
    return np.where(np.isfinite(values), sign * values, -math.inf)


def ranks(regrets: Floats) -> Floats:
    """Return the rank of each of shape (methods,), from 1; the mean rank on a tie."""
    smaller = (regrets[None, :] < regrets[:, None]).sum(axis=1)
    equal = (regrets[None, :] == regrets[:, None]).sum(axis=1)
    return np.asarray(smaller + (equal + 1) / 2.0, float)
