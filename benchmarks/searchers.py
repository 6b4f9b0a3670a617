"""Searchers that are not Ray's: seeded random search, the default alone, and our advisors without threads.

`LLMSearch` prefetches in real time; in virtual time the same advisors are asked one call at a time, so
that a run depends on its seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from ray.tune.search import Searcher

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.asktell import AskTell
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.ray_tune.results import observation
from automl_gpt_ray.space import SearchSpace
from benchmarks.told import rewrite_book


@final
class RandomSearch(Searcher):
    """The default configuration, then random ones.

    Args:
        space: The search space.
        seed: Of the draws.
        only_default: Finish after the default.
    """

    def __init__(self, space: SearchSpace, seed: int, only_default: bool = False) -> None:
        super().__init__()
        self._space, self._rng = space, np.random.default_rng([seed, 1])
        self._count, self._only_default = 0, only_default

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """Return the next configuration."""
        self._count += 1
        if self._count == 1:
            return dict(self._space.default)
        return str(Searcher.FINISHED) if self._only_default else dict(self._space.sample(self._rng))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing is learnt."""


@final
class AdvisorSearch(Searcher):
    """One of our advisors, the default first, asked when Ray asks.

    Args:
        brief: What is tuned.
        advisor: Who proposes.
        seed: Of the run.
        latency: Virtual seconds that the last proposal took; by default none.
    """

    def __init__(self, brief: Brief, advisor: Advisor, seed: int, latency: Callable[[], float] = lambda: 0.0) -> None:
        objective = brief.objective
        super().__init__(metric=objective.metric, mode=objective.mode)
        self._brief, self._advisor, self._seed, self._latency = brief, advisor, seed, latency
        self._loop: AskTell | None = None
        self._ids: dict[str, str] = {}
        self._reached: dict[str, int] = {}
        self.latency_s = 0.0

    @property
    def loop(self) -> AskTell:
        """Ask and tell, opened on first use: Ray pickles a searcher before it asks it."""
        if self._loop is None:
            self._loop = AskTell(self._brief, self._advisor, seed=self._seed)
        return self._loop

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """Return the advisor's next configuration; FINISHED when it has none."""
        try:
            trial = self.loop.ask()
        except AdviceError:
            return str(Searcher.FINISHED)
        self.latency_s = self._latency()
        self._ids[trial_id] = trial.id
        return dict(trial.config)

    def told(self, trial_id: str, config: Mapping[str, Any]) -> None:
        """Rewrite the trial: `config` is what is trained."""
        rewrite_book(self.loop.book, self._ids[trial_id], config)

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Tell one step."""
        seen = observation(result)
        self._reached[trial_id] = seen.step
        self.loop.tell(self._ids[trial_id], seen.step, seen.metrics, seen.seconds)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell how it ended; the result at which a scheduler stopped it is new, as in `LLMSearch`."""
        if result and self._reached.get(trial_id, 0) < observation(result).step:
            self.on_trial_result(trial_id, result)
        full = self._reached.get(trial_id, 0) >= self._brief.max_steps
        self.loop.end(self._ids[trial_id], stopped=not full, failure="nan" if error else None)
