"""Insight: what the classical optimiser knows, computed from a history for others to read.

Arithmetic is ours, judgement is the language model's: it is shown in which ranges the good and the bad
settings lay, which hyperparameters mattered, and what the optimiser would try next. Equal seeds and
histories give an equal insight, so that a prompt can be made again from the journal.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from automl_gpt_ray.advisors.classical import ClassicalAdvisor, worth_telling
from automl_gpt_ray.insight import Contrast, Insight, Quartiles, Shares
from automl_gpt_ray.parameters import ChoiceParameter, Parameter
from automl_gpt_ray.records import Config, History, TrialState
from automl_gpt_ray.space import SearchSpace

MIN_TRIALS = 8
"""Below this many finished trials a quarter of them says nothing."""

MAX_SHARES = 4
FINISHED = (TrialState.COMPLETED, TrialState.STOPPED)
QUARTER = 0.25


def insight_of(space: SearchSpace, seed: int = 0) -> Callable[[History], Insight | None]:
    """Return the function that gives the insight at a history, after the run's seed.

    The suggestion is TPE's whatever sampler the run uses: it is quick, and the same on every machine.
    """
    classical = ClassicalAdvisor(space, seed, "tpe")
    return lambda history: insight(space, history, classical)


def insight(space: SearchSpace, history: History, classical: ClassicalAdvisor) -> Insight | None:
    """Return what `classical` knows after `history`; None while fewer than eight trials finished with a value.

    Early-stopped trials count, behind all completed ones: their values are of another fidelity. Failed ones
    do not. Of a long history, the trials that Optuna is told of.
    """
    ranked = _ranked(space, history)
    if len(ranked) < MIN_TRIALS:
        return None
    count = math.ceil(QUARTER * len(ranked))
    best, rest = ranked[:count], ranked[count:]
    weights = classical.importances(history)
    contrasts = [
        Contrast(name, _spread(parameter, name, best), _spread(parameter, name, rest), weights.get(name))
        for name, parameter in space.searched.items()
    ]
    contrasts.sort(key=lambda c: -(c.importance or 0.0))
    suggested = classical.propose(history, 1)
    return Insight(len(ranked), count, tuple(contrasts), suggested[0].config if suggested else None)


def _ranked(space: SearchSpace, history: History) -> list[Config]:
    sign, found = history.objective.sign, []
    for trial in worth_telling(history):
        value = trial.value(history.objective) if trial.state in FINISHED else None
        if value is not None and not space.problems(trial.config):
            found.append((trial.state is TrialState.STOPPED, -sign * value, trial.config))
    return [config for _, _, config in sorted(found, key=lambda entry: entry[:2])]


def _spread(parameter: Parameter, name: str, configs: Sequence[Config]) -> Quartiles | Shares | None:
    values = [config[name] for config in configs if name in config]
    if not values:
        return None
    if isinstance(parameter, ChoiceParameter):
        counts = Counter(parameter.index(value) for value in values).most_common()
        ordered = sorted(counts, key=lambda pair: (-pair[1], pair[0]))[:MAX_SHARES]
        return tuple((parameter.choices[index], count / len(values)) for index, count in ordered)
    numbers = sorted(float(value) for value in values)  # type: ignore[arg-type]  # a valid configuration
    low, middle, high = (numbers[min(len(numbers) - 1, int(q * len(numbers)))] for q in (0.25, 0.5, 0.75))
    return low, middle, high
