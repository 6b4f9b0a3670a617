"""Told rows: how a searcher learns which configuration was really trained in place of its proposal.

A table answers a proposal with its nearest row (`problems.Table.snap`). The simulator moves the trial to that
row and calls the searcher's hook, where it has one, before anything else happens:

    def told(self, trial_id, config): ...       # config: the row's, nested as the searcher's own

Random search, ASHA, HyperBand and the median rule look at no configuration and need no hook. A model-based
searcher without one (`TuneBOHB`, Syne Tune's) goes on believing in its proposals; its row says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import optuna
from optuna.trial import FixedTrial
from ray.tune.search.optuna import OptunaSearch

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.book import Book
from automl_gpt_ray.events import TrialStarted
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, Parameter
from automl_gpt_ray.ray_tune.domains import flatten
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import History, Proposal, Scalar
from automl_gpt_ray.space import SearchSpace
from benchmarks.problems import Problem


def rewrite_book(book: Book, trial_id: str, config: Mapping[str, Any]) -> None:
    """Let trial `trial_id` of `book`, which has not reported yet, have been one of `config` from the start."""
    trial = book.trial(trial_id)
    if trial is not None:
        book.record(TrialStarted(trial_id, replace(trial.proposal, config=flatten(config))))


def rewrite_study(trial: optuna.Trial, space: SearchSpace, config: Mapping[str, Any]) -> None:
    """Let an asked `trial` of a study in memory hold `config`, its inactive parameters gone."""
    fixed = FixedTrial(flatten(config))
    draw(fixed, space)
    stored = trial.study.get_trials(deepcopy=False)[trial.number]
    stored.params, stored.distributions = dict(fixed.params), dict(fixed.distributions)


def draw(trial: Any, space: SearchSpace) -> dict[str, Scalar]:
    """Return a configuration that Optuna's `trial` suggests, parameter by parameter."""
    return space.build(lambda name, parameter: _suggest(trial, name, parameter))


def _suggest(trial: Any, name: str, parameter: Parameter) -> Scalar:
    if isinstance(parameter, ConstantParameter):
        return parameter.value
    if isinstance(parameter, ChoiceParameter):
        value: Scalar = trial.suggest_categorical(name, parameter.choices)
        return value
    step = None if parameter.log else parameter.step
    if isinstance(parameter, FloatParameter):
        return parameter.clip(trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log, step=step))
    return parameter.clip(trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log, step=step or 1))


@final
class Seated:
    """An advisor whose proposals are moved at once to the rows that would be trained in their place.

    For a planner that weighs a proposal against paused trials: it learns what everybody learns, and no value,
    but before the trial starts, so that it can go on with a paused one instead.

    Args:
        advisor: Who proposes, wherever it likes.
        problem: Who moves.
    """

    def __init__(self, advisor: Advisor, problem: Problem) -> None:
        self._advisor, self._problem = advisor, problem

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return the advisor's proposals, moved."""
        tried = {self._problem.open(trial.config) for trial in history.trials}
        found = []
        for made in self._advisor.propose(history, n):
            config = flatten(dict(self._problem.snap(made.config, tried)))
            tried.add(self._problem.open(config))
            found.append(replace(made, config=config))
        return found


class ToldOptunaSearch(OptunaSearch):
    """Ray's `OptunaSearch`, its study told which configurations were trained.

    Args:
        told_space: The search space.
        options: Ray's own.
    """

    def __init__(self, told_space: SearchSpace, **options: Any) -> None:
        super().__init__(**options)
        self._told_space = told_space

    def told(self, trial_id: str, config: Mapping[str, Any]) -> None:
        """Rewrite the asked trial."""
        rewrite_study(self._ot_trials[trial_id], self._told_space, config)


class ToldLLMSearch(LLMSearch):
    """`LLMSearch`, its book told which configurations were trained."""

    def told(self, trial_id: str, config: Mapping[str, Any]) -> None:
        """Rewrite the trial."""
        rewrite_book(self.book, trial_id, config)
