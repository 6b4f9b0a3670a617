"""The budget of a run that is going on: what it has used so far, from its book, and what ended it.

limits = RunBudget(Budget(steps=200), book)
limits.saw("trial-1")        # after each event of a trial: constant time, however long the run
limits.ending(supply)        # None; or why no further trial begins
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol, final

from automl_gpt_ray.book import Book
from automl_gpt_ray.budget import INTERRUPTED, PAID, Budget, Ending, Used, endings
from automl_gpt_ray.events import Decision, TrialEnded
from automl_gpt_ray.llm.budgeted import Budgeted, Spent
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.records import TrialState
from automl_gpt_ray.replies import SOURCE as LANGUAGE
from automl_gpt_ray.spending import Spending


class Supply(Protocol):
    """What is asked of a prefetcher."""

    @property
    def failure(self) -> str:
        """Why the outage policy ends the run; empty where it does not."""

    @property
    def spent(self) -> dict[str, str]:
        """Source to why it may not be asked again."""

    def owes(self, source: str) -> bool:
        """Return whether a proposal of `source` is ready or being made."""


@final
class RunBudget:
    """Watches one run's budget.

    Args:
        budget: Its limits.
        book: The run's; what it holds already counts.
        gpus: GPUs of each trial, for `gpu_hours`.
        before_s: Seconds that earlier parts of the run took.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        budget: Budget,
        book: Book,
        gpus: float = 0.0,
        before_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget, self._book, self._gpus, self._clock = budget, book, gpus, clock
        self._began = clock() - before_s
        self._steps: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._training: dict[str, float] = {}
        self._all_steps, self._all_seconds = 0, 0.0
        self._draining = False
        self._stopped_at: float | None = None
        self.ended: Ending | None = None
        for trial in book.history().trials:
            self.saw(trial.id)

    def saw(self, trial_id: str) -> None:
        """Count what a trial has used, after it started, reported or ended."""
        trial = self._book.trial(trial_id)
        if trial is None:
            return
        steps = trial.lineage.steps(trial.last_step)
        self._all_steps += steps - self._steps.get(trial_id, 0)
        self._all_seconds += trial.seconds - self._seconds.get(trial_id, 0.0)
        self._steps[trial_id], self._seconds[trial_id] = steps, trial.seconds
        if trial.state is TrialState.RUNNING and trial.observations:
            self._training[trial_id] = self._clock()
        else:
            self._training.pop(trial_id, None)

    def used(self) -> Used:
        """Return what has been used, until running trials were stopped if they were.

        The time since a running trial's last report counts as training.
        """
        now = self._clock() if self._stopped_at is None else self._stopped_at
        spending = self._book.spending
        if self._stopped_at is None:  # what a decision pauses or stops is not seen here
            self._training = {name: at for name, at in self._training.items() if self._runs(name)}
        training = self._all_seconds + sum(now - at for at in self._training.values())
        return Used(
            trials=len(self._steps),
            steps=self._all_steps,
            seconds=now - self._began,
            gpu_hours=self._gpus * training / 3600.0,
            tokens=spending.usage.total,
            money=self._budget.cost(spending.models),
        )

    def steps_left(self) -> float:
        """Return the steps that the budget still covers; infinite without such a limit."""
        return float("inf") if self._budget.steps is None else max(0.0, self._budget.steps - self._all_steps)

    def ending(self, supply: Supply | None = None) -> Ending | None:
        """Return why no further trial begins, or None; it is written down as a decision."""
        found = self._found(supply)
        if found and (self.ended is None or (found.at_once and not self.ended.at_once)):
            self.end(found)
        return self.ended

    def end(self, found: Ending) -> None:
        """Let no further trial begin, and write down why."""
        self.ended = found
        if found.kind != "trials":  # that is no news: the last trial goes on
            action = "fail" if found.kind == "outage" else "finish"
            self._book.record(Decision("run", action, found.reason, by="budget"))

    @property
    def ended_by(self) -> str:
        """What ended the run, for a person."""
        ended = self.ended or self._found(None)
        if ended is None or (not ended.at_once and self._book.history().in_state(TrialState.RUNNING)):
            return INTERRUPTED  # the last trials were to run on to their end
        return ended.reason

    @property
    def over(self) -> bool:
        """Whether a limit has been reached; written down nowhere."""
        return self._found(None) is not None

    @property
    def failed(self) -> bool:
        """Whether the outage policy ended the run."""
        return self.ended is not None and self.ended.kind == "outage"

    def stops_trials(self) -> bool:
        """Return whether running trials must stop now; they are written down as ended, once."""
        if self.ended is None or not self.ended.at_once:
            return False
        if self._stopped_at is None:
            self._stopped_at = self._clock()
            history = self._book.history()
            for trial in history.in_state(TrialState.RUNNING, TrialState.PAUSED):
                full = trial.last_step >= history.max_step
                state = TrialState.COMPLETED if full else TrialState.STOPPED
                self._book.record(TrialEnded(trial.id, state, message=self.ended.reason))
        return True

    def urgent(self) -> tuple[str, ...]:
        """Return who goes first: the language model once it is asked no more, for its proposals are paid."""
        return (LANGUAGE,) if self._draining else ()

    def _runs(self, trial_id: str) -> bool:
        trial = self._book.trial(trial_id)
        return trial is not None and trial.state is TrialState.RUNNING

    def _found(self, supply: Supply | None) -> Ending | None:
        if supply and supply.failure:
            return Ending("outage", supply.failure, at_once=True)
        found = endings(self._budget, self.used())
        if supply and self._budget.after_tokens == "stop":
            found += [Ending("tokens", reason) for reason in supply.spent.values()]
        self._draining = any(e.kind in PAID for e in found)
        owed = supply is not None and supply.owes(LANGUAGE)
        return next((e for e in found if not (owed and e.kind in PAID)), None)


def within(client: LLMClient, budget: Budget, spent: Spending) -> LLMClient:
    """Return `client`, which makes no call that the budget of tokens or money has no room for.

    Args:
        client: The language model.
        budget: Of the run.
        spent: What the run has spent already.
    """
    if budget.tokens is None and budget.money is None:
        return client
    already = Spent(
        calls=spent.calls,
        prompt_tokens=spent.usage.prompt_tokens,
        completion_tokens=spent.usage.completion_tokens,
        money=budget.cost(spent.models),
    )
    return Budgeted(client, budget.tokens, max_money=budget.money, prices=budget.prices, already=already)


def rays_limits(spec: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the limits that Ray tells a searcher before the first trial, as `completed` takes them."""
    seconds = spec.get("time_budget_s")
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    return {"trials": spec.get("num_samples"), "seconds": seconds}


def completed(budget: Budget, limits: Mapping[str, Any]) -> Budget:
    """Return `budget` with `limits` where it has none of its own, and no more trials than Ray asks for.

    Args:
        budget: What the caller wants.
        limits: From the run's first event: what Ray tells when a run is restored is not the run's.
    """
    told = {k: v for k, v in limits.items() if v is not None and getattr(budget, k) is None}
    if budget.trials is not None and (asked := limits.get("trials")) is not None:
        told["trials"] = min(budget.trials, asked)  # Ray would ask for no more: nobody need wait for the others
    return budget.model_copy(update=told)
