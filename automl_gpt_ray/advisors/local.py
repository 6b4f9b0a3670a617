"""Local moves: small changes to the best configurations so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from automl_gpt_ray.advisors.advisor import forecast, generator, proposal, taken
from automl_gpt_ray.curves.reading import Reader
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.limits import ranked
from automl_gpt_ray.records import Config, History, Proposal, TrialRecord
from automl_gpt_ray.space import SearchSpace

SOURCE = "local"
PARENTS = 3
TRIES = 40


@final
class LocalAdvisor:
    """Moves one to three hyperparameters of one of the three best trials.

    Args:
        space: The search space.
        seed: Of the run.
        scales: Standard deviations of a move, as shares of a hyperparameter's range; one is drawn for
            each move. Small steps refine, wide ones leave a default at the edge of its range.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, scales: Sequence[float] = (0.1, 0.3)) -> None:
        self._space, self._reader = space, Reader(space)
        self.seed, self.scales = seed, tuple(scales)

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return up to `n` neighbours of good trials; AdviceError while no trial has a value."""
        parents = best_trials(history, PARENTS)
        if not parents:
            raise AdviceError("local moves need a trial that has reported a value")
        rng = generator(self.seed, history, salt=2)
        known, found = taken(history), list[Proposal]()
        for _ in range(TRIES * n):
            if len(found) == n:
                break
            parent = parents[min(int(rng.geometric(0.5)) - 1, len(parents) - 1)]
            config = self._space.neighbour(parent.config, rng, float(rng.choice(self.scales)))
            key = self._space.key(config)
            if key not in known:
                known.add(key)
                reason = _reason(parent, config, history)
                found.append(proposal(SOURCE, history, len(found), config, reason))
        return forecast(found, history, self._reader)


def best_trials(history: History, count: int) -> list[TrialRecord]:
    """Return the `count` best trials so far, best first: within the limits first, earlier ones first on a tie."""
    return ranked(history.trials, history.objective, history.limits)[:count]


def _reason(parent: TrialRecord, config: Config, history: History) -> str:
    moved = [k for k, v in config.items() if parent.config.get(k) != v]
    value = parent.value(history.objective)
    return f"a small move in {', '.join(moved)} from trial {parent.id} ({history.objective.metric} {value:.4g})"
