"""The best parametric fits of a partial curve, averaged, with an uncertainty that grows with the distance.

Every model of `curves.shapes` is fitted in closed form (Bayesian linear regression: its beginning and end
are normal, its straying a Brownian motion), and the models are averaged by how well they explain the curve.
What the curves of a context share is learned from them: where curves begin and end, and which models hold.
No start values and no iterations that could fail to converge (Domhan et al. 2015 average parametric families
by MCMC; Swersky et al. 2014 put a kernel on exponential decays).

Notation: i curves, j models, n points; `K` their covariance, shape (i, j, n, n).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np

from automl_gpt_ray.curves.predictor import Array, Context, Curve, Forecasts, Query
from automl_gpt_ray.curves.scale import FLOOR, Scale
from automl_gpt_ray.curves.shapes import Models, Shapes, log_time, models, shapes
from automl_gpt_ray.curves.thinning import MAX_POINTS, thinned

# What is believed before any curve is seen: mean and variance of where curves begin and end, in z, and the
# number of curves this is worth.
BEGIN, END = (0.2, 0.3), (0.6, 0.2)
PSEUDO = 2.0
MODEL_PSEUDO = 4.0
ROUNDS = 3
UNKNOWN = 1e6
LEAST_SD = 0.003


@dataclass(frozen=True)
class Population:
    """What the curves of a context share: normal beliefs over beginning and end, and the models' shares."""

    begin: tuple[float, float]
    end: tuple[float, float]
    weights: Array

    @classmethod
    def prior(cls) -> Self:
        """Before any curve."""
        size = len(models())
        return cls(BEGIN, END, np.full(size, 1.0 / size))


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of z at a step q and at the last step T, arrays of shape (curves,)."""

    mean: Array
    var: Array
    final_mean: Array
    final_var: Array
    cov: Array


@final
class ParametricFit:
    """See the module."""

    name = "parametric"

    def predict(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        scale = Scale.of(context)
        population = learn(context, scale)
        curves = [query.curve for query in queries]
        steps = np.array([query.step for query in queries], dtype=float)
        belief = believe(population, scale, curves, steps, context.max_step)
        return scale.normal(belief.mean, np.sqrt(belief.var))


def learn(context: Context, scale: Scale) -> Population:
    """Return what the curves of `context` share; diverged ones tell nothing about the shape of the others."""
    curves = [c for c in context.curves if len(c.steps) and not c.diverged]
    population = Population.prior()
    if not curves:
        return population
    steps, values, noise = _points(curves, scale)
    for _ in range(ROUNDS):
        fit = _fit(population, models(), steps, values, noise, context.max_step)
        weights = _shares(fit.evidence)
        share = _posterior(fit.evidence, weights)
        population = Population(
            _normal(fit.begin, fit.begin_var, share, BEGIN), _normal(fit.end, fit.end_var, share, END), weights
        )
    return population


def believe(population: Population, scale: Scale, curves: Sequence[Curve], steps: Array, max_step: int) -> Belief:
    """Return what is believed of each curve at its step of `steps`, shape (curves,), and at the last step."""
    at, values, noise = _points(curves, scale)
    ends = np.full(len(curves), float(max_step))
    fit = _fit(population, models(), at, values, noise, max_step, np.stack([steps, ends], axis=1))
    share = _posterior(fit.evidence, population.weights)
    mean = np.einsum("ij,ijq->iq", share, fit.mean)
    centred = fit.mean - mean[:, None, :]
    cov = np.einsum("ij,ijqr->iqr", share, fit.cov) + np.einsum("ij,ijq,ijr->iqr", share, centred, centred)
    mean, cov = _known(curves, mean, cov)
    var = np.maximum(cov, LEAST_SD**2)
    return Belief(mean[:, 0], var[:, 0, 0], mean[:, 1], var[:, 1, 1], cov[:, 0, 1])


def _known(curves: Sequence[Curve], mean: Array, cov: Array) -> tuple[Array, Array]:
    # What diverged stays diverged.
    over = np.array([c.diverged for c in curves], dtype=bool)
    return np.where(over[:, None], FLOOR, mean), np.where(over[:, None, None], LEAST_SD**2, cov)


@dataclass(frozen=True, eq=False)
class _Fit:
    evidence: Array  # log marginal likelihood (i, j)
    begin: Array  # (i, j), with its variance, and the same of the end
    begin_var: Array
    end: Array
    end_var: Array
    mean: Array  # (i, j, q)
    cov: Array  # (i, j, q, q)


def _points(curves: Sequence[Curve], scale: Scale) -> tuple[Array, Array, Array]:
    """Return steps, z and extra noise, each (curves, points); points that are missing have noise UNKNOWN."""
    width = max([1, *(min(len(c.steps), MAX_POINTS) for c in curves)])
    steps, values = np.ones((len(curves), width)), np.full((len(curves), width), 0.5)
    noise = np.full((len(curves), width), UNKNOWN)
    for i, curve in enumerate(curves):
        thin = thinned(curve)
        n = len(thin.steps)
        steps[i, :n], values[i, :n], noise[i, :n] = thin.steps, scale.apply(thin.values), 0.0
    return steps, values, noise


def _fit(
    population: Population,
    kinds: Models,
    steps: Array,
    values: Array,
    noise: Array,
    max_step: int,
    asked: Array | None = None,
) -> _Fit:
    """Condition every model on every curve."""
    (m0, v0), (m1, v1) = population.begin, population.end
    count, n = steps.shape
    asked = np.empty((count, 0)) if asked is None else asked
    every = np.concatenate([steps, asked], axis=1)
    g = falls(every, max_step).transpose(1, 0, 2)[:, kinds.shape]  # (i, j, n + q)
    u = log_time(every, max_step)
    apart = np.minimum(u[:, :, None], u[:, None, :])[:, None]
    prior = m0 * g + m1 * (1 - g)
    cov = v0 * g[..., :, None] * g[..., None, :] + v1 * (1 - g)[..., :, None] * (1 - g)[..., None, :]
    cov = cov + (kinds.stray**2)[:, None, None] * apart
    seen = cov[..., :n, :n] + np.einsum("nm,jinm->ijnm", np.eye(n), _diagonal(kinds, noise))
    inverse = np.linalg.inv(seen)
    rest = values[:, None, :] - prior[..., :n]
    alpha = np.einsum("ijnm,ijm->ijn", inverse, rest)
    evidence = -0.5 * (np.einsum("ijn,ijn->ij", rest, alpha) + np.linalg.slogdet(seen)[1])
    gb, ge = g[..., :n], 1 - g[..., :n]
    cross = cov[..., n:, :n]
    through = np.einsum("ijqn,ijnm->ijqm", cross, inverse)
    return _Fit(
        evidence=evidence,
        begin=m0 + v0 * np.einsum("ijn,ijn->ij", gb, alpha),
        begin_var=v0 - v0**2 * np.einsum("ijn,ijnm,ijm->ij", gb, inverse, gb),
        end=m1 + v1 * np.einsum("ijn,ijn->ij", ge, alpha),
        end_var=v1 - v1**2 * np.einsum("ijn,ijnm,ijm->ij", ge, inverse, ge),
        mean=prior[..., n:] + np.einsum("ijqn,ijn->ijq", cross, alpha),
        cov=cov[..., n:, n:] - np.einsum("ijqn,ijrn->ijqr", through, cross),
    )


def _diagonal(kinds: Models, noise: Array) -> Array:
    both = (kinds.noise**2)[:, None, None] + noise[None]
    return np.broadcast_to(both[..., None], (*both.shape, noise.shape[1]))


def _shares(evidence: Array) -> Array:
    """Return the models' shares that explain all curves best: expectation maximisation, with a prior of a few curves."""
    size = evidence.shape[1]
    shares = np.full(size, 1.0 / size)
    for _ in range(10):
        counts = _posterior(evidence, shares).sum(axis=0)
        shares = (counts + MODEL_PSEUDO / size) / (counts.sum() + MODEL_PSEUDO)
    return shares


def _posterior(evidence: Array, weights: Array) -> Array:
    logits = evidence + np.log(weights)
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def _normal(mean: Array, var: Array, share: Array, prior: tuple[float, float]) -> tuple[float, float]:
    """Return mean and variance over curves of what each believes, with `prior` worth PSEUDO curves."""
    centre = np.einsum("ij,ij->i", share, mean)
    spread = np.einsum("ij,ij->i", share, var + (mean - centre[:, None]) ** 2)
    weight = 1.0 / (spread + 0.05)
    weight = weight / weight.max()
    total = weight.sum() + PSEUDO
    m = (PSEUDO * prior[0] + float(weight @ centre)) / total
    v = (PSEUDO * (prior[1] + (prior[0] - m) ** 2) + float(weight @ ((centre - m) ** 2 + spread))) / total
    return m, max(v, 1e-4)
