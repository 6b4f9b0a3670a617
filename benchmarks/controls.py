"""Controls: rows that keep the table honest, beside the methods.

What a language model seems to add may come from the default, from copying what worked on a similar data
set, or from knowing the benchmark by name. Each control has one of these and not the others:

* `control-random-model`: our mixture with a model that answers at random;
* `control-copy`: the best settings of the nearest other task of the suite, then random search; no model;
* `control-copy-shuffled`: the same with another task drawn at random: what similarity is worth;
* `random`: seeded random search, a method of its own;
* `ours-llm-masked+asha`: the model, with hyperparameters and data set nameless (needs `--llm-url`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from ray.tune.search import Searcher

from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.ray_tune.domains import flatten
from automl_gpt_ray.records import Config
from automl_gpt_ray.space import SearchSpace
from benchmarks.language import Metered, RandomModel
from benchmarks.methods import METHODS, Method, Pair, Setting, asha
from benchmarks.problems import Table
from benchmarks.searchers import AdvisorSearch, RandomSearch

COPIED = 8


@final
class CopySearch(Searcher):
    """The default, then given configurations, then random ones.

    Args:
        space: The search space.
        copied: Best first.
        seed: Of the random ones.
    """

    def __init__(self, space: SearchSpace, copied: Sequence[Config], seed: int) -> None:
        super().__init__()
        self._queue = [dict(space.default), *(space.clip(config)[0] for config in copied)]
        self._random = RandomSearch(space, seed)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """Return the next configuration."""
        return self._queue.pop(0) if self._queue else self._random.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing is learnt."""


@final
class MaskedSearch(Searcher):
    """A searcher that was told of nameless hyperparameters; its configurations get their names back.

    Args:
        inner: The searcher.
        names: Mask to name.
    """

    def __init__(self, inner: AdvisorSearch, names: Mapping[str, str]) -> None:
        super().__init__(metric=inner.metric, mode=inner.mode)
        self.inner, self._names = inner, names

    @property
    def latency_s(self) -> float:
        """That of the inner searcher."""
        return self.inner.latency_s

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """Return the inner searcher's suggestion, unmasked."""
        config = self.inner.suggest(trial_id)
        return {self._names[n]: v for n, v in config.items()} if isinstance(config, dict) else config

    def told(self, trial_id: str, config: Mapping[str, Any]) -> None:
        """Tell what is trained, masked again."""
        masks = {name: mask for mask, name in self._names.items()}
        self.inner.told(trial_id, {masks[name]: value for name, value in flatten(config).items()})

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Tell one step."""
        self.inner.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell how it ended."""
        self.inner.on_trial_complete(trial_id, result, error)


def masked(brief: Brief) -> tuple[Brief, dict[str, str]]:
    """Return `brief` without cards and with hyperparameters named x1, x2, ..., and mask to name."""
    names = {f"x{i}": name for i, name in enumerate(brief.space.parameters, 1)}
    masks = {name: mask for mask, name in names.items()}
    parameters = {
        masks[name]: parameter.model_copy(
            update={"description": "", "when": {masks[parent]: values for parent, values in parameter.when.items()}}
        )
        for name, parameter in brief.space.parameters.items()
    }
    return Brief(SearchSpace(parameters), brief.objective, brief.max_steps), names


def nearest(table: Table, others: Sequence[Table]) -> Table | None:
    """Return the most similar of `others` with the same search space, by size, width and classes.

    Distance: sum of squared differences of the logarithms (arXiv 2305.02499 compares card texts; these
    are the numbers in them). Tables without numbers are as far from each other as any.
    """
    same = [other for other in others if other.name != table.name and _same_names(other, table)]
    mine = table.numbers
    return min(same, key=lambda other: _distance(mine, other.numbers), default=None)


def best_rows(table: Table, count: int) -> list[Config]:
    """Return the `count` configurations with the best final values, best first."""
    sign = table.brief.objective.sign
    finals = sign * table.values[np.arange(len(table.values)), np.maximum(table.lengths, 1) - 1]
    finals = np.where(np.isfinite(finals) & ~table.failed, finals, -math.inf)
    return [flatten(table.configs[row]) for row in np.argsort(-finals)[:count]]


def _copy(setting: Setting) -> Pair:
    return _copying(setting, nearest(_table(setting), setting.others))


def _copy_shuffled(setting: Setting) -> Pair:
    table = _table(setting)
    same = [other for other in setting.others if other.name != table.name and _same_names(other, table)]
    rng = np.random.default_rng([setting.seed, 11])
    return _copying(setting, same[int(rng.integers(len(same)))] if same else None)


def _copying(setting: Setting, source: Table | None) -> Pair:
    copied = best_rows(source, COPIED) if source else []
    return Pair(CopySearch(setting.problem.brief.space, copied, setting.seed), asha(setting))


def _random_model(setting: Setting) -> Pair:
    model = RandomModel(setting.seed)
    advisor = assemble(setting.problem.brief, model, "tpe", setting.seed)
    return Pair(AdvisorSearch(setting.problem.brief, advisor, setting.seed), asha(setting))


def _masked_model(setting: Setting) -> Pair:
    brief, names = masked(setting.problem.brief)
    client = setting.llm
    latency = client.latency if isinstance(client, Metered) else lambda: 0.0
    inner = AdvisorSearch(brief, assemble(brief, client, "tpe", setting.seed), setting.seed, latency)
    return Pair(MaskedSearch(inner, names), asha(setting))


def _table(setting: Setting) -> Table:
    if not isinstance(setting.problem, Table):
        raise TypeError("copying from other tasks needs tables")
    return setting.problem


def _same_names(a: Table, b: Table) -> bool:
    return set(a.brief.space.parameters) == set(b.brief.space.parameters)


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    if not a or not b:
        return math.inf
    return sum((math.log(x) - math.log(y)) ** 2 for x, y in zip(a, b, strict=True))


_ASHA = "; Ray's ASHA as elsewhere"
CONTROLS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("control-random-model", f"our mixture with a model that answers at random{_ASHA}", _random_model),
        Method("control-copy", f"the {COPIED} best of the nearest task, then random{_ASHA}", _copy),
        Method("control-copy-shuffled", f"the {COPIED} best of a random task, then random{_ASHA}", _copy_shuffled),
        Method("ours-llm-masked+asha", f"ours with the model, names masked{_ASHA}", _masked_model, needs_llm=True),
    )
}
ALL: dict[str, Method] = {**METHODS, **CONTROLS}
"""Methods and controls by name."""
