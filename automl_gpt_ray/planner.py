"""The planner: whether a trial goes on, and what a free worker does next, a new trial or a paused one.

Searcher and scheduler share one, so that new configurations and paused trials compete in one pool. It
decides by what `curves.planner` expects of each. The model is fitted anew now and then, in the call that
needs it (up to seconds), and brought up to date in milliseconds in between.

    planner = Planner(space, max_step=50)
    planner.after(history, "t3", ready)       # Choice: t3 again, or what else; t3 is paused then
    planner.next(history, ready)              # Choice, or None: nothing is worth running
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from automl_gpt_ray.curves.freeze_thaw import FittedCurves, FreezeThaw
from automl_gpt_ray.curves.planner import Costs, plan
from automl_gpt_ray.curves.predictor import Context
from automl_gpt_ray.curves.reading import Reader
from automl_gpt_ray.records import History, Proposal, TrialState
from automl_gpt_ray.space import SearchSpace

SLICES = 10
"""A full training is planned again this often, at most."""


FIRST = ("default", "recalled")
"""Sources that need not compete."""
AT_FIRST = 4
"""Trials that start before anything competes."""


@dataclass(frozen=True)
class Choice:
    """What runs next: a trial by its id, or a proposal.

    Attributes:
        trial: The trial that goes on; None for a new one.
        proposal: The proposal that becomes a trial; None where a trial goes on.
        improvement: Expected improvement of the final value, on the run's own scale.
        reason: In a sentence.
    """

    trial: str | None
    proposal: Proposal | None
    improvement: float
    reason: str


@final
class Planner:
    """Plans one run.

    Args:
        space: The search space.
        max_step: Steps of a full training.
        left: Steps that the budget still covers, over all trials.
        switch_cost: What pausing one trial and starting another costs, in steps.
    """

    def __init__(
        self,
        space: SearchSpace,
        max_step: int,
        left: Callable[[History], float] = lambda history: float("inf"),
        switch_cost: float = 0.0,
    ) -> None:
        self._space, self._reader = space, Reader(space)
        self._left, self._switch_cost = left, switch_cost
        self.slice = max(1, round(max_step / SLICES))
        self._model: FittedCurves | None = None
        self._seen_at_fit = 0

    def is_milestone(self, step: int) -> bool:
        """Return whether a trial at `step` is looked at."""
        return step % self.slice == 0

    def after(self, history: History, trial_id: str, ready: Sequence[Proposal]) -> Choice | None:
        """Return what the worker of `trial_id` does next: the trial itself, unless something else is better.

        Args:
            history: The run, the trial's latest report included.
            trial_id: A running trial.
            ready: Proposals that could start.
        """
        if reported(history) < AT_FIRST:
            return Choice(trial_id, None, 0.0, "too few trials have reported to compare with")
        found = self._plan(history, ready, also=(trial_id,))
        if found is None or found.trial == trial_id:
            return found
        kept = self._plan(history, (), only=trial_id)
        # Switching pays where the gain a step, its cost counted, is larger.
        if kept and found.improvement <= kept.improvement * (1 + self._switch_cost / self.slice):
            return kept
        return found

    def next(self, history: History, ready: Sequence[Proposal]) -> Choice | None:
        """Return what a free worker does; None where nothing can run."""
        first = next((p for p in ready if p.source in FIRST or len(history.trials) < AT_FIRST), None)
        if first is not None:
            return Choice(None, first, 0.0, f"proposal {first.id} is one of the first")
        return self._plan(history, ready) if reported(history) else None

    def _plan(
        self, history: History, ready: Sequence[Proposal], also: Sequence[str] = (), only: str | None = None
    ) -> Choice | None:
        model = self._up_to_date(self._reader.context(history))
        running = [t.id for t in history.in_state(TrialState.RUNNING) if t.id not in also and t.id != only]
        able = {only} if only else {t.id for t in history.in_state(TrialState.PAUSED)} | set(also)
        unavailable = [t.id for t in history.trials if t.id not in able]
        costs = Costs(resume=self._switch_cost, start=self._switch_cost)
        vectors = np.array([self._space.to_vector(p.config) for p in ready]).reshape(-1, self._space.vector_size)
        made = plan(model, vectors, running, None, unavailable, self.slice, self._left(history), costs)
        if made is None:
            return None
        new = ready[made.candidate] if made.candidate is not None else None
        what = f"proposal {new.id}" if new else f"trial {made.trial}"
        reason = f"{what} has the highest expected improvement ({made.improvement:.3g})"
        return Choice(made.trial, new, made.improvement, reason)

    def _up_to_date(self, context: Context) -> FittedCurves:
        seen = sum(len(curve.steps) for curve in context.curves)
        if self._model is None or seen >= self._seen_at_fit + self._refit_after(seen):
            start = self._model.process.theta if self._model else None
            self._model = FreezeThaw().fit(context, start)
            self._seen_at_fit = seen
        elif self._model.context is not context:
            self._model = self._model.updated(context)
        return self._model

    def _refit_after(self, seen: int) -> int:
        return max(2 * self.slice, seen // 40)


def reported(history: History) -> int:
    """Return how many trials have reported."""
    return sum(1 for trial in history.trials if trial.observations)
