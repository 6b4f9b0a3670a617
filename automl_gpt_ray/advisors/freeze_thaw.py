"""The freeze-thaw advisor: configurations whose final value, as predicted, promises the most.

A Gaussian process over configurations on the extrapolated finals of all trials, stopped and running ones
included (`curves.freeze_thaw`), judges a pool of random configurations and of moves around those predicted
best, by expected improvement. Every proposal carries the predicted log it was judged by.
"""

from __future__ import annotations

from typing import final

import numpy as np

from automl_gpt_ray.advisors.advisor import generator, proposal, taken
from automl_gpt_ray.curves.freeze_thaw import FittedCurves, FreezeThaw
from automl_gpt_ray.curves.planner import plan
from automl_gpt_ray.curves.predictor import Array, Curve, Query
from automl_gpt_ray.curves.reading import Reader, log_of
from automl_gpt_ray.records import Config, History, PredictedLog, Proposal, TrialState
from automl_gpt_ray.space import SearchSpace

SOURCE = "classical"
RANDOM, LOCAL, PARENTS = 150, 100, 5
SCALES = (0.05, 0.1, 0.3)
AT_RANDOM = 4
"""Trials (the default among them) before the model is asked."""
LOG_POINTS = 4


@final
class FreezeThawAdvisor:
    """Proposes by expected improvement of the predicted final value.

    Args:
        space: The search space.
        seed: Of the run.
        source: Written on its proposals.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, source: str = SOURCE) -> None:
        self._space, self._seed, self._source = space, seed, source

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return up to `n` proposals, best first; random ones while few trials have reported."""
        rng = generator(self._seed, history, salt=5)
        known = set(taken(history))
        reported = sum(1 for trial in history.trials if trial.observations)
        if reported < AT_RANDOM:
            return self._at_random(history, n, rng, known)
        # A reader of its own: what is remembered between calls must not be shared between threads.
        reader = Reader(self._space)
        model = FreezeThaw().fit(reader.context(history))
        pool = self._pool(history, model, rng, known)
        return self._chosen(history, n, reader, model, pool)

    def _at_random(self, history: History, n: int, rng: np.random.Generator, known: set[str]) -> list[Proposal]:
        found = self._unknown((self._space.sample(rng) for _ in range(50 * n)), known, n)
        reason = "drawn at random: too few results to model yet"
        return [proposal(self._source, history, i, config, reason) for i, config in enumerate(found)]

    def _pool(self, history: History, model: FittedCurves, rng: np.random.Generator, known: set[str]) -> list[Config]:
        mean, _ = model.known()
        best = [history.trials[i].config for i in np.argsort(-mean, kind="stable")[:PARENTS]]
        drawn = self._unknown((self._space.sample(rng) for _ in range(2 * RANDOM)), known, RANDOM)
        moves = (
            self._space.neighbour(best[int(rng.integers(len(best)))], rng, float(rng.choice(SCALES)))
            for _ in range(3 * LOCAL)
        )
        return [*drawn, *self._unknown(moves, known, LOCAL)]

    def _unknown(self, configs: object, known: set[str], limit: int) -> list[Config]:
        found: list[Config] = []
        for config in configs:  # type: ignore[attr-defined]
            key = self._space.key(config)
            if key not in known:
                known.add(key)
                found.append(config)
            if len(found) == limit:
                break
        return found

    def _chosen(
        self, history: History, n: int, reader: Reader, model: FittedCurves, pool: list[Config]
    ) -> list[Proposal]:
        vectors = reader.vectors(pool)
        starting = reader.vectors([p.config for p in history.pending])
        running = [t.id for t in history.trials if not t.state.ended]
        everybody = [t.id for t in history.trials]
        found: list[Proposal] = []
        free = list(range(len(pool)))
        while free and len(found) < n:
            waiting = starting if len(starting) else None
            choice = plan(model, vectors[free], running, waiting, everybody)
            if choice is None or choice.candidate is None:
                break
            place = free.pop(choice.candidate)
            starting = np.concatenate([starting, vectors[[place]]])
            log = self._log(history, model, vectors[place])
            reason = f"expected improvement {choice.improvement:.3g} over {len(everybody)} trials, paused ones included"
            found.append(proposal(self._source, history, len(found), pool[place], reason, log))
        return found

    def _log(self, history: History, model: FittedCurves, vector: Array) -> PredictedLog:
        steps = sorted({max(1, round(history.max_step * share)) for share in np.linspace(0.1, 1.0, LOG_POINTS)})
        made = model.predict([Query(Curve("new", vector), step) for step in steps])
        return log_of(history.objective.metric, "gp", steps, made.low, made.median, made.high)


def running_ids(history: History) -> list[str]:
    """Return the trials that train now."""
    return [trial.id for trial in history.in_state(TrialState.RUNNING)]
