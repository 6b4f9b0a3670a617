"""The freeze-thaw advisor: configurations whose final value, as predicted, promises the most.

A Gaussian process over configurations on the extrapolated finals of all trials, stopped and running ones
included (`curves.freeze_thaw`), judges a pool of random configurations, of moves around those predicted best, and
of what a local search makes of the most promising, by expected improvement. Every proposal carries the predicted
log it was judged by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np

from automl_gpt_ray.advisors.advisor import generator, proposal, taken, untried
from automl_gpt_ray.curves.candidates import pool, refined
from automl_gpt_ray.curves.competitors import maker
from automl_gpt_ray.curves.curve_model import CurveModel
from automl_gpt_ray.curves.freeze_thaw import Fitted, FreezeThaw
from automl_gpt_ray.curves.planner import plan, ranks
from automl_gpt_ray.curves.predictor import Array
from automl_gpt_ray.curves.reading import context_of, predicted_logs
from automl_gpt_ray.curves.reading import untried as untried_curve
from automl_gpt_ray.errors import AdviceError, DataError
from automl_gpt_ray.records import Config, History, Proposal, TrialState
from automl_gpt_ray.space import SearchSpace

SOURCE = "classical"
AT_RANDOM = 4
"""Trials (the default among them) that report before the model is asked."""
DRAWS = 200


@final
class FreezeThawAdvisor:
    """Proposes by expected improvement of the predicted final value.

    Args:
        space: The search space.
        seed: Of the run.
        source: Written on its proposals.
        model: Gives the model of a history; by default one fitted to it alone, so that equal histories give
            equal proposals.
        curves: Name of the kind of model where `model` is not given; see `curves.competitors`.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        source: str = SOURCE,
        model: Callable[[History], CurveModel] | None = None,
        curves: str = FreezeThaw.name,
    ) -> None:
        self._space, self.seed, self.source, self.curves = space, seed, source, curves
        self._model = model or self._fitted

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return up to `n` proposals, best first; random ones while few trials have reported.

        Raises:
            AdviceError: The network's weights are damaged.
        """
        rng, known = generator(self.seed, history, salt=5), taken(history)
        if sum(1 for trial in history.trials if trial.observations) < AT_RANDOM:
            return self._at_random(history, n, rng, known)
        model = self._model(history)
        drawn = pool(self._space, model, {t.id: t.config for t in history.trials}, known, rng)
        running = [trial.id for trial in history.in_state(TrialState.RUNNING)]
        starting = self._starting(history)

        def gain(vectors: Array) -> Array:
            return ranks(model, vectors, running, starting).candidates

        found = refined(self._space, *drawn, gain, known, rng)
        chosen = self._chosen(history, n, model, running, starting, *found)
        # Of a small space the pool may have missed the last ones.
        return chosen or self._at_random(history, n, rng, known, "drawn at random: nothing else was left to propose")

    def _fitted(self, history: History) -> CurveModel:
        try:
            return maker(self.curves).fit(context_of(history, self._space))
        except DataError as error:
            raise AdviceError(str(error)) from error

    def _at_random(
        self,
        history: History,
        n: int,
        rng: np.random.Generator,
        known: set[str],
        reason: str = "drawn at random: too few results to model yet",
    ) -> list[Proposal]:
        found: list[Proposal] = []
        for index in range(n):
            config = untried(self._space, known, lambda: self._space.sample(rng), rng, DRAWS)
            if config is None:
                break
            known.add(self._space.key(config))
            found.append(proposal(self.source, history, index, config, reason))
        return found

    def _chosen(
        self,
        history: History,
        n: int,
        model: CurveModel,
        running: list[str],
        starting: Array,
        configs: list[Config],
        vectors: Array,
    ) -> list[Proposal]:
        everybody = [trial.id for trial in history.trials]
        free, found = list(range(len(configs))), list[Proposal]()
        while free and len(found) < n:
            choice = plan(model, vectors[free], running, starting, everybody)
            if choice is None or choice.candidate is None:
                break
            place = free.pop(choice.candidate)
            starting = np.concatenate([starting, vectors[[place]]])
            log = predicted_logs(Fitted(model), model.context, [untried_curve("new", configs[place], self._space)])
            reason = f"expected improvement {choice.improvement:.3g}, from {len(everybody)} trials and their curves"
            found.append(proposal(self.source, history, len(found), configs[place], reason, log[0]))
        return found

    def _starting(self, history: History) -> Array:
        rows = [self._space.to_vector(p.config) for p in history.pending if not self._space.problems(p.config)]
        return np.array(rows).reshape(-1, self._space.vector_size)
