"""The configurations the planner chooses from: random ones, and small moves around the best predicted.

Around those that promise the most a local search follows (as SMAC's; Hutter et al. 2011, section 4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np

from automl_gpt_ray.curves.curve_model import CurveModel
from automl_gpt_ray.curves.predictor import Array
from automl_gpt_ray.records import Config, Scalar
from automl_gpt_ray.space import SearchSpace

RANDOM, LOCAL, PARENTS = 150, 100, 5
SCALES = (0.05, 0.15, 0.3)
KEPT, MOVES = 5, 12
NARROWING = (0.2, 0.1, 0.1, 0.05, 0.05, 0.02)
"""Scales of the rounds of the local search, each of MOVES moves around the KEPT most promising."""

Gain = Callable[[Array], Array]
"""From vectors, shape (m, d), to what each promises, shape (m,); larger is better."""


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
    return found, _vectors(space, found)


def refined(
    space: SearchSpace,
    found: Sequence[Config],
    vectors: Array,
    gain: Gain,
    taken: Container[str],
    rng: np.random.Generator,
) -> tuple[list[Config], Array]:
    """Return a pool and what a local search around its most promising members adds to it, and all their vectors.

    Args:
        space: The search space.
        found: The pool.
        vectors: Its, shape (m, d).
        gain: What is searched for.
        taken: `space.key` of configurations that ran, run or wait.
        rng: Source of randomness.
    """
    configs, promised = list(found), gain(vectors) if len(vectors) else np.empty(0)
    have = {space.key(config) for config in configs}
    for scale in NARROWING if configs else ():
        parents = [configs[i] for i in np.argsort(-promised, kind="stable")[:KEPT]]
        moved = [space.neighbour(parent, rng, scale) for parent in parents for _ in range(MOVES)]
        fresh = {k: config for config in moved if (k := space.key(config)) not in taken and k not in have}
        if fresh:
            have |= set(fresh)
            configs += fresh.values()
            added = _vectors(space, list(fresh.values()))
            vectors, promised = np.concatenate([vectors, added]), np.concatenate([promised, gain(added)])
    return configs, vectors


def best_predicted(model: CurveModel, count: int) -> Sequence[str]:
    """Return the keys of the trials with the best predicted finals, best first."""
    if not model.context.curves:
        return []
    mean, _ = model.known()
    return [model.context.curves[i].key for i in np.argsort(-mean, kind="stable")[:count]]


def _vectors(space: SearchSpace, configs: Sequence[Config]) -> Array:
    return np.array([space.to_vector(config) for config in configs]).reshape(-1, space.vector_size)
