"""The configurations the planner chooses from: random ones, and small moves around the best predicted."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np

from automl_gpt_ray.curves.curve_model import CurveModel
from automl_gpt_ray.curves.predictor import Array
from automl_gpt_ray.records import Config, Scalar
from automl_gpt_ray.space import SearchSpace

RANDOM, LOCAL, PARENTS = 150, 100, 5
SCALES = (0.05, 0.15, 0.3)


def pool(
    space: SearchSpace,
    model: CurveModel,
    configs: Mapping[str, Config],
    taken: Container[str],
    rng: np.random.Generator,
) -> tuple[list[dict[str, Scalar]], Array]:
    """Return up to RANDOM + LOCAL different configurations, and their vectors, shape (m, d).

    Args:
        space: The search space.
        model: Of the trials so far; the PARENTS with the best predicted finals are moved.
        configs: Configuration of each trial of the model's context, by key.
        taken: `space.key` of configurations that ran, run or wait.
        rng: Source of randomness.
    """
    drawn = [space.sample(rng) for _ in range(RANDOM)]
    parents = best_predicted(model, PARENTS)
    for _ in range(LOCAL if parents else 0):
        parent = configs[parents[int(rng.integers(len(parents)))]]
        drawn.append(space.neighbour(parent, rng, float(rng.choice(SCALES))))
    fresh = {key: config for config in drawn if (key := space.key(config)) not in taken}
    found = list(fresh.values())
    return found, np.array([space.to_vector(config) for config in found]).reshape(-1, space.vector_size)


def best_predicted(model: CurveModel, count: int) -> Sequence[str]:
    """Return the keys of the trials with the best predicted finals, best first."""
    if not model.context.curves:
        return []
    mean, _ = model.known()
    return [model.context.curves[i].key for i in np.argsort(-mean, kind="stable")[:count]]
