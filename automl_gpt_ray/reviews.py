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
        self._latest: dict[str, Review] = {}
        self._settled: dict[str, int] = {}

    def note(self, event: Event) -> None:
        """Note an event."""
        if isinstance(event, ReviewsRead):
            self._latest.update({review.trial: review for review in event.reviews})
        elif isinstance(event, Decision) and event.by == SOURCE and event.step is not None:
            self._settled[event.subject] = event.step

    def open(self, trial: str) -> Review | None:
        """Return the latest review of a trial that nothing has come of yet."""
        review = self._latest.get(trial)
        if review is None or review.action == "continue" or self._settled.get(trial, -1) >= review.step:
            return None
        return review

    def pending(self) -> list[Review]:
        """Return all that nothing has come of yet."""
        return [review for trial in list(self._latest) if (review := self.open(trial))]
