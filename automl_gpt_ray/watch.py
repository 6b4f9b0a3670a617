"""The watch: what a steered run takes note of, from its first event on."""

from __future__ import annotations

from typing import final

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import Event
from automl_gpt_ray.reviews import Reviews
from automl_gpt_ray.scorekeeper import Scorekeeper
from automl_gpt_ray.switching import SwitchCost


@final
class Watch:
    """Scores forecasts, keeps reviews and times switches; pass `note` to the book.

    Args:
        brief: What is tuned.
    """

    def __init__(self, brief: Brief) -> None:
        self.keeper, self.cost = Scorekeeper(brief.objective, brief.max_steps), SwitchCost()
        self.reviews = Reviews()

    def note(self, event: Event) -> None:
        """Note an event."""
        self.keeper.note(event)
        self.cost.note(event)
        self.reviews.note(event)
