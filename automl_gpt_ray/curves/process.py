"""A Gaussian process over configurations on top of extrapolated finals.

Each curve is extrapolated by `curves.parametric`; what that says of its final value, beyond what is believed
of any curve, enters the process as one observation with its own noise. So a long curve counts as measured, a
short one as a hint, and both tell about configurations that were never tried.

    f(x) = centre + g(x) + d        g: Matern 5/2 with one length scale a dimension; d: what the configuration
                                    does not explain, one draw a trial, variance `white`
    y_i  = f(x_i) + noise_i         mean and noise from the extrapolation, its prior divided out

A trial's own belief is that of the process without it, times its own observation, so that d is its own. The
hyperparameters are fitted with log-normal priors (a few curves in many dimensions would otherwise fit
anything), from the previous fit or the priors' centre.

Notation: n curves, d dimensions; variances in z.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import minimize

from automl_gpt_ray.curves.predictor import Array

if TYPE_CHECKING:
    from sklearn.gaussian_process.kernels import Kernel

# Log-normal priors as (log of the median, standard deviation of the log); amplitude and white are shares of
# the variance over curves, length scales in units of sqrt(d) / 2.
AMPLITUDE, LENGTH, WHITE = (0.0, 0.7), (0.0, 0.8), (-4.0, 1.2)
BOUNDS = (1e-4, 1e3)
MAX_EVALUATIONS = 60
LEAST_NOISE = 1e-5
DOUBT, DOUBT_CURVES = 2.0, 6.0
CAUTION = (0.7, 5.0)


@final
@dataclass(frozen=True, eq=False)
class Process:
    """A fitted process; make one with `fit`."""

    centre: float
    vectors: Array  # (n, d)
    residuals: Array  # (n,) y - centre
    noise: Array  # (n,)
    kernel: Kernel
    lower: Array  # Cholesky factor of the covariance with all noise, (n, n)
    weights: Array  # its inverse times the residuals, (n,)
    caution: float = 1.0  # factor on variances, from how far the finals of known trials lay off

    @property
    def theta(self) -> Array:
        """The logarithms of the hyperparameters: amplitude, length scales, white."""
        return np.asarray(self.kernel.theta)

    @property
    def white(self) -> float:
        """Variance that configurations do not explain."""
        return float(np.exp(self.theta[-1]))

    def given(self, vectors: Array, seen: Array, noise: Array) -> Process:
        """Return the process with these observations instead, hyperparameters as they are; shapes as in `fit`."""
        noise = np.maximum(noise, LEAST_NOISE)
        if not len(vectors):
            return replace(self, vectors=vectors, residuals=seen, noise=noise, lower=np.empty((0, 0)), weights=seen)
        lower = np.linalg.cholesky(self.kernel(vectors) + np.diag(noise))
        rest = seen - self.centre
        return replace(
            self, vectors=vectors, residuals=rest, noise=noise, lower=lower, weights=cho_solve((lower, True), rest)
        )

    def and_also(self, vectors: Array, seen: Array, noise: Array) -> Process:
        """Return the process with these observations too."""
        return self.given(
            np.concatenate([self.vectors.reshape(-1, vectors.shape[1]), vectors]),
            np.concatenate([self.residuals + self.centre, seen]),
            np.concatenate([self.noise, noise]),
        )

    def finals(self, vectors: Array) -> tuple[Array, Array]:
        """Return mean and variance of f for trials not among the fitted ones; `vectors` has shape (m, d)."""
        if not len(self.vectors):
            return np.full(len(vectors), self.centre), np.full(len(vectors), float(np.exp(self.theta[0])) + self.white)
        cross = self.kernel.k1(vectors, self.vectors)
        half = cho_solve((self.lower, True), cross.T)
        var = float(np.exp(self.theta[0])) + self.white - np.einsum("mn,nm->m", cross, half)
        return self.centre + cross @ self.weights, np.maximum(self.caution * var, LEAST_NOISE)

    def without(self) -> tuple[Array, Array]:
        """Return mean and variance of f for each fitted trial, from all the others, each shape (n,)."""
        inverse = np.diag(cho_solve((self.lower, True), np.eye(len(self.vectors))))
        mean = self.centre + self.residuals - self.weights / inverse
        return mean, np.maximum(self.caution * (1.0 / inverse - self.noise), LEAST_NOISE)

    def trials(self) -> tuple[Array, Array]:
        """Return mean and variance of f for each fitted trial, from all curves, each shape (n,)."""
        mean, var = self.without()
        return combine(mean, var, self.centre + self.residuals, self.noise)


def combine(mean: Array, var: Array, seen: Array, noise: Array) -> tuple[Array, Array]:
    """Return the normal belief (mean, var) after an observation `seen` with variance `noise`."""
    gain = var / (var + noise)
    return mean + gain * (seen - mean), np.maximum(var * (1 - gain), LEAST_NOISE)


def fit(
    vectors: Array, seen: Array, noise: Array, centre: float, variance: float, start: Array | None = None
) -> Process:
    """Fit a process.

    Args:
        vectors: Configurations, shape (n, d); n may be 0.
        seen: Extrapolated finals, shape (n,).
        noise: Their variances, shape (n,), positive.
        centre: What is believed of a final where nothing is known.
        variance: Its variance over curves.
        start: Where the fit starts, from an earlier process's `theta`; None starts at the priors' centre.
    """
    kernel = _kernel(vectors.shape[1], variance)
    noise = np.maximum(noise, LEAST_NOISE)
    if not len(vectors):
        return Process(centre, vectors, seen, noise, kernel, np.empty((0, 0)), np.empty(0))
    medians = kernel.theta.copy()
    if start is not None and start.shape == medians.shape:
        kernel = kernel.clone_with_theta(np.clip(start, *np.log(BOUNDS)))
    from sklearn.gaussian_process import GaussianProcessRegressor  # takes a second or two to import

    model = GaussianProcessRegressor(kernel, alpha=noise, optimizer=_with_priors(medians))
    with warnings.catch_warnings():
        # A length scale at its bound is an answer: the dimension does not matter.
        warnings.simplefilter("ignore")
        model.fit(vectors, seen - centre)
    return _cautious(Process(centre, vectors, seen - centre, noise, model.kernel_, model.L_, model.alpha_))


def _cautious(process: Process) -> Process:
    """Return `process` with its variances brought up to its errors, each trial predicted from the others.

    The fit to few curves is too sure of itself. Curves count as far as their finals are known; DOUBT is worth
    DOUBT_CURVES of them.
    """
    mean, var = process.without()
    share = var / (var + process.noise)
    square = (process.residuals + process.centre - mean) ** 2 / (var + process.noise)
    caution = (float(share @ square) + DOUBT * DOUBT_CURVES) / (float(share.sum()) + DOUBT_CURVES)
    return replace(process, caution=float(np.clip(caution, *CAUTION)))


def _kernel(dimensions: int, variance: float) -> Kernel:
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    lengths = np.full(max(dimensions, 1), 0.5 * max(dimensions, 1) ** 0.5 * np.exp(LENGTH[0]))
    amplitude = ConstantKernel(variance * np.exp(AMPLITUDE[0]), BOUNDS)
    return amplitude * Matern(lengths, BOUNDS, nu=2.5) + WhiteKernel(variance * np.exp(WHITE[0]), (1e-6, 1e2))


def _with_priors(medians: Array) -> Callable[..., tuple[Array, float]]:
    widths = np.array([AMPLITUDE[1], *[LENGTH[1]] * (len(medians) - 2), WHITE[1]])

    def maximise(objective: Any, initial: Array, bounds: Sequence[Any]) -> tuple[Array, float]:
        def penalised(theta: Array) -> tuple[float, Array]:
            value, gradient = objective(theta)
            off = (theta - medians) / widths
            return value + 0.5 * float(off @ off), gradient + off / widths

        found = minimize(
            penalised, initial, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxfun": MAX_EVALUATIONS}
        )
        return found.x, float(found.fun)

    return maximise
