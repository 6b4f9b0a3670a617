"""Recalled settings as proposals: what was best on similar data is tried right after the default.

A pure function of the brief, which holds what was recalled, and of the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

from automl_gpt_ray.advisors.advisor import proposal, taken
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import ConstantParameter
from automl_gpt_ray.recollection import RecalledRun, RecalledSetting
from automl_gpt_ray.records import History, Objective, Proposal, Scalar
from automl_gpt_ray.space import SearchSpace

SOURCE = "recalled"
LEAST_SHARED = 0.5
"""Share of this search space's hyperparameters that another model's setting must be able to give."""

MAX_NAME = 60


def recalled_proposals(brief: Brief, history: History) -> tuple[Proposal, ...]:
    """Return the recalled settings to try first: the best of the most similar run, of the next, then second bests.

    Of each run those that beat its own default count. Values are taken where this search space has the name and
    allows the value; what is missing stands at its default, and a note says so. Settings that come to the default
    or to each other are left out.
    """
    recollection = brief.recollection
    found: list[Proposal] = []
    if recollection is None:
        return ()
    known = {*taken(history), brief.space.key(brief.space.default)}
    for run, setting in _in_turn(recollection.runs):
        fitted = fit(setting.config, brief.space, same_model=brief.model is not None and run.model == brief.model.name)
        if len(found) == recollection.seeds:
            break
        if fitted is None or brief.space.key(fitted[0]) in known:
            continue
        known.add(brief.space.key(fitted[0]))
        found.append(proposal(SOURCE, history, len(found), fitted[0], _reason(run, setting), notes=fitted[1]))
    return tuple(found)


def fit(
    config: Mapping[str, Scalar], space: SearchSpace, same_model: bool
) -> tuple[dict[str, Scalar], tuple[str, ...]] | None:
    """Return `config` as a configuration of `space` and notes on what did not fit; None where too little did.

    Args:
        config: A configuration of some search space.
        space: This run's.
        same_model: Whether both are the same model's: then one value that fits is enough.
    """
    values = {n: config[n] for n, p in space.parameters.items() if n in config and not p.fault(config[n])}
    shared = [name for name in values if name in space.searched]
    if len(shared) < (1 if same_model else LEAST_SHARED * len(space.searched)) or not shared:
        return None
    unfit = [n for n in config if n not in values and not isinstance(space.parameters.get(n), ConstantParameter)]
    fitted = space.build(lambda name, parameter: parameter.clip(values.get(name, parameter.start)))
    notes = (f"{len(unfit)} of its {len(config)} values do not fit this search space",) if unfit else ()
    return fitted, notes


def _in_turn(runs: tuple[RecalledRun, ...]) -> Iterator[tuple[RecalledRun, RecalledSetting]]:
    for rank in zip_longest(*([(run, setting) for setting in run.settings] for run in runs)):
        yield from (pair for pair in rank if pair is not None and _beats_default(*pair))


def _beats_default(run: RecalledRun, setting: RecalledSetting) -> bool:
    return Objective(run.metric, run.mode).better(setting.value, run.default)


def _reason(run: RecalledRun, setting: RecalledSetting) -> str:
    place = "the best" if setting == run.settings[0] else "among the best"
    data = run.data if len(run.data) <= MAX_NAME else run.data[: MAX_NAME - 1] + "…"
    of = f"of {run.trials} trials on {data}, which is {run.similarity:.0%} like this data"
    return f"{place} {of}: {run.metric} {setting.value:.4g} there"
