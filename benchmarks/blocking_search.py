"""The control: a Tune searcher that asks the language model in `suggest` and waits, as most do."""

from __future__ import annotations

from typing import Any

import numpy as np
from ray.tune.search import Searcher

from automl_gpt_ray.advisors.language import LanguageAdvisor
from automl_gpt_ray.asktell import AskTell
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.events import AdviceGiven
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.ray_tune.domains import from_ray
from automl_gpt_ray.records import Objective, Proposal


class BlockingSearch(Searcher):
    """One call, one proposal, one trial; a random configuration where the call failed.

    Args:
        llm: The language model.
        max_steps: Steps of a full training.
    """

    def __init__(self, llm: LLMClient, max_steps: int) -> None:
        super().__init__()
        self._llm, self._max_steps = llm, max_steps
        self._loop: AskTell | None = None
        self._names: dict[str, str] = {}

    @property
    def book(self) -> Book:
        """What has happened so far."""
        assert self._loop is not None  # noqa: S101 - read after the run
        return self._loop.book

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Take the search space and the metric from the Tuner."""
        self._space = from_ray(config)
        brief = Brief(self._space, Objective(str(metric), "min" if mode == "min" else "max"), self._max_steps)
        book = Book()
        self._loop = AskTell(brief, LanguageAdvisor(self._llm, brief, book.record), book)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Ask the model and wait for its answer."""
        assert self._loop is not None  # noqa: S101 - Ray sets the properties first
        try:
            trial = self._loop.ask()
        except AdviceError as error:
            config = self._space.sample(np.random.default_rng())
            drawn = Proposal(f"random-{trial_id}", config, str(error), "random")
            self._loop.book.record(AdviceGiven("random", 0, (drawn,)))
            trial = self._loop.ask()
        self._names[trial_id] = trial.id
        return dict(trial.config)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the loop of a step."""
        assert self._loop is not None  # noqa: S101 - there was a trial
        metric = self.book.objective.metric
        self._loop.tell(self._names[trial_id], result["training_iteration"], {metric: result[metric]})

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the loop that a trial ended."""
        assert self._loop is not None  # noqa: S101 - there was a trial
        self._loop.end(self._names[trial_id], failure="error" if error else None)
