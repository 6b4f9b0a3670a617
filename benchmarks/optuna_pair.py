"""Optuna in the simulator: Ray's `OptunaSearch` set up fairly, and Optuna's own pruners as a pair."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, final

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from benchmarks.problems import Problem
from benchmarks.told import ToldOptunaSearch, draw, rewrite_study

STARTUP = 10
"""Random suggestions before a sampler models anything: Optuna's own default."""

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # `group`, `constant_liar`


def tpe(seed: int) -> BaseSampler:
    """Return TPE, each hyperparameter by itself, lying constantly about running trials.

    Optuna 5 would model them jointly. With ASHA on LCBench that was worse: final regret .225 against
    .164 (8 tasks from the table's median, 2 seeds, 1040 epochs), so the stronger one stands in the table.
    """
    return TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=False, constant_liar=True)


def gp(seed: int) -> BaseSampler:
    """Return Optuna's Gaussian process sampler."""
    return GPSampler(seed=seed, n_startup_trials=STARTUP)


def ray_optuna(problem: Problem, sampler: BaseSampler) -> Searcher:
    """Return Ray's own `OptunaSearch` over the problem's space, conditions kept, the default first.

    As it stands in Ray it tells a stopped trial as complete, at the value it had.
    """
    space, objective = problem.brief.space, problem.brief.objective
    return ToldOptunaSearch(
        space,
        space=partial(draw, space=space),
        metric=objective.metric,
        mode=objective.mode,
        points_to_evaluate=[dict(space.default)],
        sampler=sampler,
    )


@final
class StudySearch(Searcher):
    """Optuna's ask and tell over one study; a stopped trial is told as pruned, as Optuna means it.

    Args:
        problem: What is tuned.
        study: With its sampler and pruner.
    """

    def __init__(self, problem: Problem, study: optuna.Study) -> None:
        objective = problem.brief.objective
        super().__init__(metric=objective.metric, mode=objective.mode)
        self.study, self._space, self._steps = study, problem.brief.space, problem.brief.max_steps
        self.asked: dict[str, optuna.Trial] = {}
        study.enqueue_trial({n: v for n, v in self._space.default.items() if n in self._space.searched})

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Return what the study suggests."""
        self.asked[trial_id] = self.study.ask()
        return draw(self.asked[trial_id], self._space)

    def told(self, trial_id: str, config: Mapping[str, Any]) -> None:
        """Rewrite the asked trial."""
        rewrite_study(self.asked[trial_id], self._space, config)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how the trial ended."""
        trial, value = self.asked[trial_id], (result or {}).get(self.metric)
        if error or value is None or not math.isfinite(value):
            self.study.tell(trial, state=TrialState.FAIL)
        elif result and result["training_iteration"] >= self._steps:
            self.study.tell(trial, value)
        else:
            self.study.tell(trial, state=TrialState.PRUNED)


@final
class PrunerScheduler(FIFOScheduler):
    """Optuna's pruner as a Ray scheduler: reports every step to the study and asks it.

    Args:
        search: The searcher of the same study.
    """

    def __init__(self, search: StudySearch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._search = search

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Stop what the pruner would prune."""
        asked, value = self._search.asked[trial.trial_id], result[str(self._search.metric)]
        if math.isfinite(value):
            asked.report(value, result["training_iteration"])
            if asked.should_prune():
                return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)


def pruned(problem: Problem, sampler: BaseSampler, pruner: BasePruner) -> tuple[Searcher, TrialScheduler]:
    """Return a searcher and a scheduler that share a study with `sampler` and `pruner`."""
    up = problem.brief.objective.mode == "max"
    direction = StudyDirection.MAXIMIZE if up else StudyDirection.MINIMIZE
    search = StudySearch(problem, optuna.create_study(sampler=sampler, pruner=pruner, direction=direction))
    return search, PrunerScheduler(search)
