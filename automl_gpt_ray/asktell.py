"""The whole loop without Ray: ask for a trial, tell what it reported.

    loop = AskTell(brief, Mixture({"classical": ClassicalAdvisor(brief.space)}))
    while len(loop.history.trials) < 20:
        trial = loop.ask()
        for step in range(1, brief.max_steps + 1):
            loop.tell(trial.id, step, {"accuracy": train_one_epoch(trial.config)})
        loop.end(trial.id)
    print(loop.history.best)

Synchronous: `ask` waits for the advisor. Inside Ray, `LLMSearch` prefetches instead.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import final

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.default_first import DefaultFirst
from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.advisors.recipe import form_team
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.events import AdviceGiven, ResultReported, RunStarted, TrialEnded, TrialStarted
from automl_gpt_ray.records import History, Observation, TrialRecord, TrialState


@final
class AskTell:
    """Proposes trials one at a time and records what became of them.

    Args:
        brief: What is to be tuned. Its default configuration is the first trial.
        advisor: Who proposes the others.
        book: Where it is recorded; in memory when not given.
        seed: Recorded with the run.
    """

    def __init__(self, brief: Brief, advisor: Advisor, book: Book | None = None, seed: int = 0) -> None:
        self.book = book or Book()
        self._advisor = DefaultFirst(advisor, brief.space)
        self._mixture = advisor if isinstance(advisor, Mixture) else None
        self._began: dict[str, float] = {}
        if self.book.started is None:
            objective = brief.objective
            default = brief.space.default
            self.book.record(
                RunStarted(objective.metric, objective.mode, brief.max_steps, seed, default, brief.to_dict())
            )
        form_team(self.book, advisor, "ask_tell", seed)

    @property
    def history(self) -> History:
        """All that is known so far."""
        return self.book.history()

    def ask(self) -> TrialRecord:
        """Return a new trial to train.

        Raises:
            AdviceError: The advisor has nothing to propose.
        """
        history = self.history
        if not history.pending:
            proposals = self._advisor.propose(history, 1)
            if not proposals:
                raise AdviceError("nothing is left to propose: the search space is exhausted")
            self.book.record(AdviceGiven(proposals[0].source, history.version, tuple(proposals)))
            history = self.history
        trial_id = f"t{len(history.trials) + 1}"
        shares = self._mixture.shares(history) if self._mixture else {}
        self.book.record(TrialStarted(trial_id, history.pending[0], shares))
        self._began[trial_id] = time.monotonic()
        return self.history.trials[-1]

    def tell(self, trial_id: str, step: int, metrics: Mapping[str, float], seconds: float | None = None) -> None:
        """Record what a trial reported at `step` (from 1) after `seconds` of training.

        Raises:
            ValueError: There is no such trial, or `step` is no whole number from 1.
        """
        self._check_known(trial_id)
        if not (step >= 1 and step == int(step)):
            raise ValueError(f"`step` must be a whole number from 1, got {step!r}: count the first one as 1")
        values = {name: float(value) for name, value in metrics.items()}  # NumPy's and torch's numbers too
        spent = time.monotonic() - self._began.get(trial_id, time.monotonic()) if seconds is None else seconds
        self.book.record(ResultReported(trial_id, Observation(int(step), values, spent)))

    def end(self, trial_id: str, stopped: bool = False, failure: str | None = None) -> None:
        """Record that a trial ended: completed, stopped early, or failed with a class (`nan`, `oom`).

        Raises:
            ValueError: There is no such trial.
        """
        self._check_known(trial_id)
        state = TrialState.FAILED if failure else TrialState.STOPPED if stopped else TrialState.COMPLETED
        self.book.record(TrialEnded(trial_id, state, failure))

    def _check_known(self, trial_id: str) -> None:
        if self.book.trial(trial_id) is None:
            raise ValueError(f"`trial_id` must be that of a trial that `ask` returned, got {trial_id!r}")
