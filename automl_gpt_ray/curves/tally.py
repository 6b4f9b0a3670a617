"""The answered questions of one source as arrays, so that losses are summed anew whenever the scale changes."""

from __future__ import annotations

from typing import final

import numpy as np

from automl_gpt_ray.curves.predictor import Array
from automl_gpt_ray.curves.questions import NAIVE_NAMES, Question
from automl_gpt_ray.curves.scale import Scale
from automl_gpt_ray.curves.scoring import pinball

WHO = 1 + len(NAIVE_NAMES)
FIRST_ROOM = 64


@final
class Tally:
    """Questions in the order in which they were answered, the oldest forgotten first."""

    def __init__(self) -> None:
        self._told = np.empty((FIRST_ROOM, WHO, 3))
        self._truth = np.empty(FIRST_ROOM)
        self._trial = np.empty(FIRST_ROOM, dtype=np.int64)
        self._numbers: dict[str, int] = {}
        self._start = self._end = 0

    def add(self, question: Question) -> None:
        """Enter a question with its truth."""
        if self._end == len(self._truth):
            self._make_room()
        self._told[self._end] = (question.answer, *question.naive)
        self._truth[self._end] = np.nan if question.truth is None else question.truth
        self._trial[self._end] = self._numbers.setdefault(question.trial, len(self._numbers))
        self._end += 1

    def forget(self, count: int) -> None:
        """Leave out the `count` oldest."""
        self._start = min(self._start + count, self._end)

    def losses(self, scale: Scale) -> Array:
        """Return the mean losses of each trial, in the order of its first answer, shape (trials, 1 + naive)."""
        if self._start == self._end:
            return np.empty((0, WHO))
        rows = slice(self._start, self._end)
        truth = scale.apply(self._truth[rows])
        told = np.sort(scale.apply(self._told[rows]), axis=2)  # the lowest first, whichever way the metric goes
        lost = [pinball(told[:, who], truth) for who in range(WHO)]
        _, first, trial = np.unique(self._trial[rows], return_index=True, return_inverse=True)
        count = np.bincount(trial)
        means = np.stack([np.bincount(trial, weights=each) / count for each in lost], axis=1)
        return np.asarray(means[np.argsort(first)])

    def _make_room(self) -> None:
        rows = slice(self._start, self._end)
        room = max(FIRST_ROOM, 2 * (self._end - self._start))
        for name in ("_told", "_truth", "_trial"):
            old = getattr(self, name)[rows]
            new = np.empty((room, *old.shape[1:]), dtype=old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self._start, self._end = 0, self._end - self._start
