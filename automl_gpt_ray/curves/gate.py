"""The gate: a source may stop or pause trials only while its forecasts beat the naive ones on this run.

What is compared: the pinball losses on the same questions, of trials that had reported something when they
were asked about. Questions of one trial share its luck, so each trial counts once, with the mean of its
differences. The latest WINDOW trials decide, against whichever naive predictor does better on them.

    d_i = loss of the naive - loss of the source, mean over the questions of trial i
    t   = mean(d) / standard error(d)
    shut until MIN_TRIALS trials are scored; opens at t >= OPENS (5 % one-sided); shuts again at t < SHUTS

Between the two it stays as it is, so that one surprise neither disarms an advisor nor arms it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_gpt_ray.curves.predictor import Array

MIN_TRIALS = 8
WINDOW = 60
OPENS, SHUTS = 1.645, 0.0


@dataclass(frozen=True)
class Gate:
    """Whether a source may stop trials, and what that rests on.

    Attributes:
        open: Whether it may.
        trials: Trials compared.
        evidence: The smaller t of the two comparisons; 0 before MIN_TRIALS.
        skill: 1 - loss / loss of the better naive predictor: above 0 where the source is better.
    """

    open: bool = False
    trials: int = 0
    evidence: float = 0.0
    skill: float = 0.0

    def next(self, losses: Array, naive: Array) -> Gate:
        """Return the gate after more was scored.

        Args:
            losses: Mean pinball loss of the source on each trial, in the order they were scored, shape (n,).
            naive: The same of each naive predictor, shape (n, k).
        """
        losses, naive = losses[-WINDOW:], naive[-WINDOW:]
        count = len(losses)
        if count < MIN_TRIALS:
            return Gate(False, count)
        evidence = min(_t(other - losses) for other in naive.T)
        best = float(naive.mean(axis=0).min())
        skill = 1.0 - float(losses.mean()) / best if best > 0 else 0.0
        is_open = evidence >= (SHUTS if self.open else OPENS)
        return Gate(is_open, count, evidence, skill)

    @property
    def reason(self) -> str:
        """Why it is open or shut, in a sentence."""
        if self.trials < MIN_TRIALS:
            return f"{self.trials} of {MIN_TRIALS} trials scored"
        word = "better" if self.skill > 0 else "worse"
        return (
            f"{abs(self.skill):.0%} {word} than the naive forecasts on {self.trials} trials (t = {self.evidence:.1f})"
        )


def _t(differences: Array) -> float:
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5
    mean = float(differences.mean())
    # Equal differences leave no doubt about their sign.
    return mean / error if error > 1e-12 else float(np.sign(mean)) * 100.0
