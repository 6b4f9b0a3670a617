"""The best parametric fits of a partial curve, averaged, with an uncertainty that grows with the distance.

Every model of `curves.shapes` is fitted in closed form (Bayesian linear regression: its beginning and end
are normal, its straying a Brownian motion), and the models are averaged by how well they explain the curve.
What the curves of a context share is learned from them: where curves begin and end, and which models hold.
No start values and no iterations that could fail to converge (Domhan et al. 2015 average parametric families
by MCMC; Swersky et al. 2014 put a kernel on exponential decays).

Notation: i curves (or groups of them), j models, n observed points, q steps asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from automl_gpt_ray.curves.predictor import Z90, Array, Context, Curve, Forecasts, Query
from automl_gpt_ray.curves.scale import FLOOR, Scale
from automl_gpt_ray.curves.shapes import Models, Shapes, log_time, models, shapes
from automl_gpt_ray.curves.thinning import MAX_POINTS, thinned

# What is believed before any curve is seen of where curves begin and end, in z, and how many curves this is
# worth; a curve that begins high tends to end high.
CENTRE = np.array([0.2, 0.6])
SPREAD = np.array([[0.25, 0.15], [0.15, 0.25]])
PSEUDO = 2.0
MODEL_PSEUDO = 4.0
ROUNDS = 2
TAUGHT = 40
# Neighbouring points err together, so that all points of a curve choose among models as this many would.
WORTH = 3.0
UNKNOWN = 1e6
LEAST_SD = 0.003
CUTS, LONG, CALM = (0.25, 0.5), 4, 9


@dataclass(frozen=True, eq=False)
class Population:
    """What the curves of a context share.

    Attributes:
        centre: Mean of beginning and end, shape (2,).
        spread: Their covariance, shape (2, 2).
        weights: Share of each model, shape (models,).
        shapes: The shapes of this context.
        caution: Factor on standard deviations, from how well beginnings of curves foretold their ends.
    """

    centre: Array
    spread: Array
    weights: Array
    shapes: Shapes
    caution: float = 1.0


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
        belief = believe(population, scale, curves, steps)
        return scale.normal(belief.mean, np.sqrt(belief.var))


def learn(context: Context, scale: Scale) -> Population:
    """Return what the curves of `context` share; diverged ones tell nothing about the shape of the others.

    At most TAUGHT curves teach it, those with the most points: more would say the same.
    """
    curves = [c for c in context.curves if len(c.steps) and not c.diverged]
    told = shapes([(c.steps, scale.apply(c.values)) for c in curves], context.max_step)
    size = len(models())
    population = Population(CENTRE, SPREAD, np.full(size, 1.0 / size), told)
    curves = _teachers(curves)
    if not curves:
        return population
    points = _points(curves, scale)
    for _ in range(ROUNDS):
        fit = _fit(population, points)
        weights = _shares(fit.evidence)
        centre, spread = _normal(fit, _posterior(fit.evidence, weights))
        population = Population(centre, spread, weights, told)
    return replace(population, caution=_caution(population, curves, scale))


def _caution(population: Population, curves: Sequence[Curve], scale: Scale) -> float:
    """Return how much wider errors are than foretold, each curve cut after CUTS of its steps."""
    long = [c for c in curves if len(c.steps) >= LONG]
    beginnings = [_until(c, share * c.last_step) for c in long for share in CUTS]
    ends = np.array([float(c.last_step) for c in long for _ in CUTS])
    truth = np.repeat(np.array([scale.apply(c.values[-1:])[0] for c in long]), len(CUTS))
    told = believe(population, scale, beginnings, ends)
    off = np.abs(truth - told.mean) / np.sqrt(told.var)
    # The prior is a normal's own quantiles, each a pseudo-observation.
    calm = np.abs(np.linspace(-1.5, 1.5, CALM))
    return float(np.clip(np.quantile(np.concatenate([off, calm]), 0.8) / Z90, 0.4, 3.0))


def _until(curve: Curve, step: float) -> Curve:
    n = max(1, int(np.searchsorted(curve.steps, step, side="right")))
    return Curve(curve.key, curve.vector, curve.steps[:n], curve.values[:n])


def _teachers(curves: list[Curve]) -> list[Curve]:
    if len(curves) <= TAUGHT:
        return curves
    longest = sorted(curves, key=lambda c: -c.last_step)
    # Half of them the longest, which tell the shape; half of them any, which tell where curves begin and end.
    others = longest[TAUGHT // 2 :]
    return longest[: TAUGHT // 2] + others[:: -(-len(others) // (TAUGHT // 2))]


def believe(population: Population, scale: Scale, curves: Sequence[Curve], steps: Array) -> Belief:
    """Return what is believed of each curve at its step of `steps`, shape (curves,), and at the last step."""
    ends = np.full(len(curves), float(population.shapes.max_step))
    fit = _fit(population, _points(curves, scale), np.stack([steps, ends], axis=1))
    share = _posterior(fit.evidence, population.weights)
    mean = np.einsum("ij,ijq->iq", share, fit.mean)
    centred = fit.mean - mean[:, None, :]
    cov = np.einsum("ij,ijqr->iqr", share, fit.cov) + np.einsum("ij,ijq,ijr->iqr", share, centred, centred)
    unseen = np.array([not len(c.steps) for c in curves], dtype=bool)
    cov = cov * np.where(unseen, 1.0, population.caution**2)[:, None, None]
    mean, cov = _known(curves, mean, cov)
    var = np.maximum(cov, LEAST_SD**2)
    return Belief(mean[:, 0], var[:, 0, 0], mean[:, 1], var[:, 1, 1], cov[:, 0, 1])


def _known(curves: Sequence[Curve], mean: Array, cov: Array) -> tuple[Array, Array]:
    # What diverged stays diverged.
    over = np.array([c.diverged for c in curves], dtype=bool)
    return np.where(over[:, None], FLOOR, mean), np.where(over[:, None, None], LEAST_SD**2, cov)


@dataclass(frozen=True, eq=False)
class _Points:
    """Steps, z and extra noise, each (curves, points); points that are missing have noise UNKNOWN."""

    steps: Array
    values: Array
    noise: Array


def _points(curves: Sequence[Curve], scale: Scale) -> _Points:
    width = max([1, *(min(len(c.steps), MAX_POINTS) for c in curves)])
    steps, values = np.ones((len(curves), width)), np.full((len(curves), width), 0.5)
    noise = np.full((len(curves), width), UNKNOWN)
    for i, curve in enumerate(curves):
        thin = thinned(curve)
        n = len(thin.steps)
        steps[i, :n], values[i, :n], noise[i, :n] = thin.steps, scale.apply(thin.values), 0.0
    return _Points(steps, values, noise)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Every model conditioned on every curve.

    Attributes:
        evidence: Log marginal likelihood, tempered to that of WORTH points, shape (i, j).
        ends: Expected beginning and end, shape (i, j, 2).
        ends_cov: Their covariance, shape (i, j, 2, 2).
        mean: At the steps asked for, shape (i, j, q).
        cov: Their covariance, shape (i, j, q, q).
    """

    evidence: Array
    ends: Array
    ends_cov: Array
    mean: Array
    cov: Array


def _fit(population: Population, points: _Points, asked: Array | None = None) -> _Fit:
    """Condition every model on every curve; curves observed at the same steps share all but their values."""
    n = points.steps.shape[1]
    every = points.steps if asked is None else np.concatenate([points.steps, asked], axis=1)
    kinds, same = np.unique(np.concatenate([every, points.noise], axis=1), axis=0, return_inverse=True)
    width = every.shape[1]
    group = _condition(population, kinds[:, :width], kinds[:, width:], n)
    rest = points.values[:, None, :] - group.prior[same][..., :n]
    alpha = np.empty_like(rest)
    for place in range(len(kinds)):
        here = same == place
        alpha[here] = (rest[here].swapaxes(0, 1) @ group.inverse[place]).swapaxes(0, 1)
    worth = np.minimum(1.0, WORTH / np.maximum((points.noise == 0.0).sum(axis=1), 1))
    return _Fit(
        evidence=0.5 * worth[:, None] * (group.logdet[same] - np.einsum("ijn,ijn->ij", rest, alpha)),
        ends=population.centre + np.einsum("ijnd,ijn->ijd", group.seen[same], alpha),
        ends_cov=group.ends_cov[same],
        mean=group.prior[same][..., n:] + np.einsum("ijqn,ijn->ijq", group.cross[same], alpha),
        cov=group.cov[same],
    )


@dataclass(frozen=True, eq=False)
class _Group:
    """What does not depend on the values: arrays over (groups of curves observed at the same steps, models, ...)."""

    prior: Array
    inverse: Array
    logdet: Array
    seen: Array
    cross: Array
    ends_cov: Array
    cov: Array


def _condition(population: Population, steps: Array, noise: Array, n: int) -> _Group:
    kinds = models()
    g = population.shapes.falls(steps).transpose(1, 0, 2)[:, kinds.shape]  # (i, j, n + q)
    parts = np.stack([g, 1.0 - g], axis=-1)
    loads = parts @ population.spread  # (i, j, n + q, 2)
    u = log_time(steps, population.shapes.max_step)
    apart = np.minimum(u[:, :, None], u[:, None, :])[:, None]
    cov = loads @ parts.swapaxes(-1, -2) + (kinds.stray**2)[:, None, None] * apart
    inverse = np.linalg.inv(cov[..., :n, :n] + np.eye(n) * _diagonal(kinds, noise)[..., None])
    seen, cross = loads[..., :n, :], cov[..., n:, :n]
    return _Group(
        prior=parts @ population.centre,
        inverse=np.asarray(inverse, dtype=float),
        logdet=np.linalg.slogdet(inverse)[1],
        seen=seen,
        cross=cross,
        ends_cov=population.spread - seen.swapaxes(-1, -2) @ inverse @ seen,
        cov=cov[..., n:, n:] - cross @ inverse @ cross.swapaxes(-1, -2),
    )


def _diagonal(kinds: Models, noise: Array) -> Array:
    return (kinds.noise**2)[:, None] + noise[:, None, :]


def _shares(evidence: Array) -> Array:
    """Return the shares of the models that explain all curves best (expectation maximisation, with a prior)."""
    size = evidence.shape[1]
    shares = np.full(size, 1.0 / size)
    for _ in range(10):
        counts = _posterior(evidence, shares).sum(axis=0)
        shares = (counts + MODEL_PSEUDO / size) / (counts.sum() + MODEL_PSEUDO)
    return shares


def _posterior(evidence: Array, weights: Array) -> Array:
    logits = evidence + np.log(weights)
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def _normal(fit: _Fit, share: Array) -> tuple[Array, Array]:
    """Return mean and covariance, over curves, of what each believes of its ends; the prior is worth PSEUDO curves."""
    each = np.einsum("ij,ijd->id", share, fit.ends)
    off = fit.ends - each[:, None, :]
    within = np.einsum("ij,ijde->ide", share, fit.ends_cov + off[..., :, None] * off[..., None, :])
    total = len(each) + PSEUDO
    centre = (PSEUDO * CENTRE + each.sum(axis=0)) / total
    apart, prior = each - centre, CENTRE - centre
    spread = PSEUDO * (SPREAD + np.outer(prior, prior)) + within.sum(axis=0) + apart.T @ apart
    return centre, spread / total
