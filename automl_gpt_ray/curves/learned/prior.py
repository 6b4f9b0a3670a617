"""Synthetic tuning problems: what the network is trained on, and all that it is trained on.

    problems = sample(seed=3, tokens=2000, device="cpu")    # one batch, all of one shape
    problems.vectors, problems.z, problems.seen, problems.context

A problem is a random landscape of traits (`landscape`), configurations as a run would try them
(`synthetic_space`), their curves (`synthetic_curves`), and how far each was trained when the forecast is made:
all to the end, all about equally far, log-uniformly, by rungs (the better half goes on), or freeze-thaw (most
are a few steps old, the best are long). Values are on the scale of `curves.scale`, as predictors see them.

Chosen by reading about training curves and by looking at draws; no public curve was used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from automl_gpt_ray.curves.learned.draws import Draws
from automl_gpt_ray.curves.learned.landscape import REFERENCE, Landscape
from automl_gpt_ray.curves.learned.synthetic_curves import LEVEL, TRAITS, curves
from automl_gpt_ray.curves.learned.synthetic_space import Layout, around, layout, snapped
from automl_gpt_ray.curves.scale import FLOOR, LOW_QUANTILE

MOST_ENTRIES = 24
MOST_STEPS, LEAST_STEPS = 64, 4
MOST_TRIALS = 200
OTHERS = 32
CEILING = 6.0


@final
@dataclass(frozen=True)
class Problems:
    """A batch.

    Attributes:
        vectors: Configurations, shape (problems, trials, entries), in [0, 1].
        z: Reported values, shape (problems, trials, steps), from FLOOR to CEILING.
        clean: The same without noise.
        lost: Where training has diverged, same shape.
        seen: Steps known of each trial, shape (problems, trials); 0 for one not yet tried.
        context: The first so many trials are the run so far; the others are only asked about.
    """

    vectors: Tensor
    z: Tensor
    clean: Tensor
    lost: Tensor
    seen: Tensor
    context: int


def sample(seed: int, tokens: int = 2000, device: torch.device | str = "cpu") -> Problems:
    """Draw a batch of about `tokens` trials in all; equal arguments give equal batches on one kind of device."""
    draws = Draws(seed, device)
    steps = draws.whole_log(LEAST_STEPS, MOST_STEPS) if draws.whole(0, 3) == 0 else draws.whole(10, MOST_STEPS)
    known = draws.whole_log(1, MOST_TRIALS) if draws.whole(0, 1) else draws.whole(4, 100)
    told = layout(draws, draws.whole(1, 16), MOST_ENTRIES)
    b = max(2, tokens // (known + OTHERS))
    reference = snapped(draws.uniform(b, REFERENCE, told.size), told)
    landscape = Landscape(draws, b, told.size, TRAITS, reference)
    vectors = _configurations(draws, landscape, told, b, known)
    made = curves(draws, landscape(vectors), steps)
    seen = torch.cat([_lengths(draws, made.values[:, :known]), _asked(draws, b, steps)], 1)
    finite = made.values.isfinite()
    # A trial that diverges reports it once, and ends.
    ends = torch.where(finite.all(-1), steps, finite.long().argmin(-1) + 1)
    seen = torch.minimum(seen, ends)
    low, width = _scale(made.values[:, :known], seen[:, :known])
    return Problems(vectors, _z(made.values, low, width), _z(made.clean, low, width), ~finite, seen, known)


def _configurations(draws: Draws, landscape: Landscape, told: Layout, b: int, known: int) -> Tensor:
    d = told.size
    wild = max(1, min(known, round(known * float(draws.uniform(1, low=0.15, high=1.3).item()))))
    first = draws.uniform(b, wild, d)
    # The default is the best of a few random ones.
    tries = draws.uniform(b, 4, d)
    best = landscape(snapped(tries, told))[..., LEVEL].argmax(1)
    first[:, 0] = tries[torch.arange(b), best]
    near = known - wild
    parts = [first]
    while near > 0:
        so_far = torch.cat(parts, 1)
        level = landscape(snapped(so_far, told))[..., LEVEL]
        believed = level + draws.uniform(b, 1, high=0.7) * draws.normal(b, level.shape[1])
        count = min(near, max(4, known // 4))
        parts.append(around(draws, so_far[torch.arange(b), believed.argmax(1)], count))
        near -= count
    order = torch.cat(parts, 1)
    good = order[torch.arange(b), landscape(snapped(order, told))[..., LEVEL].argmax(1)]
    fresh = torch.cat([draws.uniform(b, OTHERS // 2, d), around(draws, good, OTHERS - OTHERS // 2)], 1)
    return snapped(torch.cat([order, fresh], 1), told)


def _lengths(draws: Draws, values: Tensor) -> Tensor:
    """Return how many steps of each trial of the context are known, shape (problems, trials), at least 1."""
    b, n, steps = values.shape
    end = torch.full((b, n), float(steps), device=values.device)
    log = draws.log_uniform(b, n, low=0.7, high=steps + 0.49)
    partly = torch.where(draws.uniform(b, n) < draws.uniform(b, 1, high=0.7), end, log)
    level = (log[:, :1] * draws.log_normal(b, n, sd=0.1)).clamp(1.0, steps)
    judged = values.nan_to_num(-1e6)
    rungs = torch.ones(b, n, device=values.device)
    step, eta = draws.whole(1, max(1, steps // 5)), draws.uniform(b, 1, low=0.25, high=0.6)
    alive = torch.ones(b, n, dtype=torch.bool, device=values.device)
    while step < steps:
        rungs = torch.where(alive, float(step), rungs)
        order = judged[..., step - 1].masked_fill(~alive, -math.inf).argsort(-1, descending=True).argsort(-1)
        alive = alive & (order < (eta * alive.sum(-1, keepdim=True)).ceil())
        step = max(step + 1, step * draws.whole(2, 4))
    rungs = torch.where(alive & draws.chance(0.7, b, 1), end, rungs)
    place = judged[..., -1].argsort(-1, descending=True).argsort(-1) / n + draws.normal(b, n, sd=0.15)
    thawed = (steps * (-place.clamp_min(0.0) * draws.log_uniform(b, 1, low=2.0, high=15.0)).exp()).clamp_min(1.0)
    thawed = torch.maximum(thawed, (log.log() * 0.4).exp())
    kind = draws.one_of((0.1, 0.12, 0.3, 0.23, 0.25), b, 1)
    found = end
    for i, told in enumerate((level, partly, rungs, thawed), 1):
        found = torch.where(kind == i, told, found)
    return found.round().long().clamp(1, steps)


def _asked(draws: Draws, b: int, steps: int) -> Tensor:
    """Return the same of the others: half of them untried."""
    seen = draws.log_uniform(b, OTHERS, low=0.5, high=steps + 0.49).round().long().clamp(1, steps)
    return torch.where(draws.chance(0.5, b, OTHERS), 0, seen)


def _scale(values: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """As `curves.scale.Scale.of`: low end and width of each problem, shape (problems, 1, 1)."""
    b, _, steps = values.shape
    known = torch.arange(steps, device=values.device) < seen[..., None]
    told = values.masked_fill(~known, math.nan).reshape(b, -1)
    low = told.nanquantile(LOW_QUANTILE, dim=1).nan_to_num(0.0)
    high = told.nan_to_num(-math.inf).amax(1)
    high = torch.where(high.isfinite(), high, low)
    size = torch.maximum(torch.ones_like(high), high.abs())
    equal = high - low <= 1e-6 * size
    low = torch.where(equal, high - (0.1 * high.abs()).clamp_min(1e-3), low)
    return low[:, None, None], (high - low)[:, None, None]


def _z(values: Tensor, low: Tensor, width: Tensor) -> Tensor:
    z = (values - low) / width
    z = torch.where(z < 0, -torch.log1p(-z.clamp_max(0.0)), z)
    return z.nan_to_num(FLOOR).clamp(FLOOR, CEILING)
