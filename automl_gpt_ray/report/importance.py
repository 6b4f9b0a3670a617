"""What mattered: the importance of each hyperparameter, and every trial as a line through their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from automl_gpt_ray.parameters import FloatParameter, IntParameter, Parameter
from automl_gpt_ray.records import Config, Scalar, TrialRecord, TrialState
from automl_gpt_ray.report.story import Story
from automl_gpt_ray.space import SearchSpace

LINES = 400
"""Trials that are drawn as lines: the best of them and the latest."""
AXES = 8
LEAST_TRIALS = 8
"""Fewer say nothing about importance."""


def importances(story: Story) -> list[tuple[str, float]]:
    """Return each searched hyperparameter's share of what decides whether a trial is among the best quarter.

    By PED-ANOVA (arXiv 2304.10255) as Optuna has it, over every trial with a value: one that was stopped counts
    with the best it had reached. Largest first; empty where too little is known.
    """
    trials = [t for t in story.history.trials if t.value(story.objective) is not None]
    if story.brief is None or len(trials) < LEAST_TRIALS:
        return []
    from automl_gpt_ray.advisors.classical import ClassicalAdvisor  # brings Optuna

    whole = tuple(replace(t, state=TrialState.COMPLETED) for t in trials)
    known = replace(story.history, trials=whole, pending=())
    return list(ClassicalAdvisor(story.brief.space, story.started.seed).importances(known).items())


def parallel(story: Story, weights: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return the axes of a parallel plot, the most important last, and each trial's place on them.

    Returns:
        `axes`: name, kind of ticks, (place in [0, 1], label) of each tick; `lines`: (trial's number, value of the
        objective, place on each axis or None where the trial has no such hyperparameter).
    """
    brief = story.brief
    if brief is None:
        return {"axes": [], "lines": [], "left_out": 0}
    ranks = {name: place for place, (name, _) in enumerate(weights)}
    names = sorted(brief.space.searched, key=lambda name: ranks.get(name, len(ranks)))[:AXES][::-1]
    axes = [{"name": name, "ticks": _ticks(brief.space.parameters[name])} for name in names]
    measured = [(v, t) for t in story.history.trials if (v := t.value(story.objective)) is not None]
    kept = _kept(measured, story.objective.sign)
    lines = [(story.numbers[t.id], v, [_place(brief.space, t.config, name) for name in names]) for v, t in kept]
    return {"axes": axes, "lines": lines, "left_out": len(measured) - len(kept)}


def _kept(measured: list[tuple[float, TrialRecord]], sign: int) -> list[tuple[float, TrialRecord]]:
    if len(measured) <= LINES:
        return measured
    older, latest = measured[: -LINES // 2], measured[-LINES // 2 :]
    return [*sorted(older, key=lambda pair: -sign * pair[0])[: LINES // 2], *latest]


def _place(space: SearchSpace, config: Config, name: str) -> float | None:
    parameter = space.parameters[name]
    if name not in config:
        return None
    value = config[name]
    if not isinstance(parameter, FloatParameter | IntParameter):
        return _of_choice(parameter, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(min(1.0, max(0.0, parameter.to_unit(parameter.clip(value)))), 4)


def _of_choice(parameter: Parameter, value: Scalar) -> float | None:
    choices = getattr(parameter, "choices", ())
    found = [i for i, choice in enumerate(choices) if choice == value and type(choice) is type(value)]
    return round((found[0] + 0.5) / len(choices), 4) if found else None


def _ticks(parameter: Parameter) -> list[tuple[float, str]]:
    if isinstance(parameter, FloatParameter | IntParameter):
        places = (0.0, 0.25, 0.5, 0.75, 1.0)
        values = list(dict.fromkeys(parameter.from_unit(place) for place in places))
        return [(round(parameter.to_unit(value), 4), f"{value:.3g}") for value in values]
    choices = getattr(parameter, "choices", ())
    return [((i + 0.5) / len(choices), str(choice)) for i, choice in enumerate(choices)]
