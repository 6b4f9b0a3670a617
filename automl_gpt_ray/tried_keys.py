"""The keys of the configurations that ran, run or wait: `advisor.taken` for one book that only grows."""

from __future__ import annotations

from typing import final

from automl_gpt_ray.book import Book
from automl_gpt_ray.space import SearchSpace


@final
class TriedKeys:
    """Answers in time proportional to what is new since the last question.

    Args:
        space: Makes the keys.
        book: Hold its lock.
    """

    def __init__(self, space: SearchSpace, book: Book) -> None:
        self._space, self._book = space, book
        self._started: set[str] = set()
        self._counted = 0

    def now(self) -> set[str]:
        """Return the keys of all trials and queued proposals."""
        history = self._book.history()
        self._started.update(self._space.key(trial.config) for trial in history.trials[self._counted :])
        self._counted = len(history.trials)
        return self._started | {self._space.key(p.config) for p in history.pending}
