"""Reviews: what reviewers have said of running trials in a run, and what nothing has come of yet."""

from __future__ import annotations

from typing import final

from automl_gpt_ray.events import Decision, Event
from automl_gpt_ray.replies import SOURCE
from automl_gpt_ray.review import Review, ReviewsRead


@final
class Reviews:
    """Kept from a run's events: pass `note` to its book. That a trial goes on needs nothing to come of it."""

    def __init__(self) -> None:
        self._open: dict[str, Review] = {}
        self._settled: dict[str, int] = {}

    def note(self, event: Event) -> None:
        """Note an event."""
        if isinstance(event, ReviewsRead):
            for review in event.reviews:
                self._open.pop(review.trial, None)
                if review.action != "continue" and self._settled.get(review.trial, -1) < review.step:
                    self._open[review.trial] = review
        elif isinstance(event, Decision) and event.by == SOURCE and event.step is not None:
            self._settled[event.subject] = event.step
            if (known := self._open.get(event.subject)) and event.step >= known.step:
                del self._open[event.subject]

    def open(self, trial: str) -> Review | None:
        """Return the latest review of a trial that nothing has come of yet."""
        return self._open.get(trial)

    def pending(self) -> list[Review]:
        """Return all that nothing has come of yet."""
        return list(self._open.values())
