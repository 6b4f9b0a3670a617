"""How the traits of synthetic curves depend on the configuration.

A trait (how good the final value is, how fast it is reached, when training breaks) is a random function on the
unit cube. What each part imitates:

    smooth      stationary random functions, between Matern and squared exponential: the general case
    bowl        a sweet spot with sides of different steepness: learning rates, regularisation
    additive    one gentle wave a dimension: hyperparameters that do not interact
    step        a threshold along a direction: settings beyond which nothing works, abrupt changes

Relevance is mixed: a few hyperparameters matter much, some a little, many not at all; traits of one problem
share most of it. A trait has mean 0 and variance 1 over random configurations.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from automl_gpt_ray.curves.learned.draws import Draws

WAVES = 24
PARTS = (1.2, 1.4, 0.8, -0.4)  # mean logits of smooth, bowl, additive, step
REFERENCE = 64


@final
class Landscape:
    """Traits of a batch of problems.

    Args:
        draws: Where randomness comes from.
        problems: How many.
        dimensions: Of the unit cube.
        traits: How many a problem; all are correlated with the first.
        reference: Random configurations of each problem, shape (problems, REFERENCE, dimensions).
    """

    def __init__(self, draws: Draws, problems: int, dimensions: int, traits: int, reference: Tensor) -> None:
        b, k, d = problems, traits, dimensions
        relevance = _relevance(draws, b, d)[:, None] * draws.log_normal(b, k, d, sd=0.5)
        relevance = relevance * (1.0 - 0.9 * draws.chance(0.15, b, k, d).float())
        self._relevance = relevance / relevance.square().sum(-1, keepdim=True).clamp_min(1e-6).sqrt()
        rough = draws.log_uniform(b, 1, 1, 1, low=0.6, high=5.0) * draws.log_normal(b, k, 1, 1, sd=0.3)
        # Heavier tails of frequencies make rougher functions (Matern); `tails` is 1 for the smoothest.
        tails = torch.where(draws.chance(0.5, b, 1, 1, 1), torch.ones(1, device=draws.device), _tails(draws, b, k))
        self._waves = draws.normal(b, k, WAVES, d) * self._relevance[:, :, None] * rough * tails
        self._phases = draws.uniform(b, k, WAVES, high=2 * math.pi)
        self._amplitudes = draws.normal(b, k, WAVES)
        self._optimum = draws.uniform(b, 1, d, low=-0.1, high=1.1) + draws.normal(b, k, d, sd=0.15)
        self._sides = draws.log_normal(b, k, 2, d, sd=0.5)
        self._power = draws.uniform(b, k, 1, low=0.8, high=2.2)
        self._bends = draws.uniform(b, k, d, low=0.1, high=0.9), draws.uniform(b, k, d, high=2 * math.pi)
        self._direction = draws.normal(b, k, d) * self._relevance
        self._threshold = draws.normal(b, k, 1, sd=0.25)
        self._sharpness = draws.log_uniform(b, k, 1, low=3.0, high=60.0)
        logits = torch.tensor(PARTS, device=draws.device) + draws.normal(b, k, len(PARTS), sd=1.2)
        self._shares = logits.softmax(-1)
        self._lean = torch.cat([torch.zeros(b, 1, device=draws.device), draws.uniform(b, k - 1, low=-0.8, high=0.8)], 1)
        parts = self._parts(reference)
        self._moments = parts.mean(1, keepdim=True), parts.std(1, keepdim=True).clamp_min(1e-3)
        whole = self._mixed(reference)
        self._whole = whole.mean(1, keepdim=True), whole.std(1, keepdim=True).clamp_min(1e-3)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the traits of configurations: (problems, n, dimensions) to (problems, n, traits)."""
        traits = (self._mixed(vectors) - self._whole[0]) / self._whole[1]
        lean = self._lean[:, None]
        return lean * traits[..., :1] + (1 - lean.square()).sqrt() * traits

    def _mixed(self, vectors: Tensor) -> Tensor:
        parts = (self._parts(vectors) - self._moments[0]) / self._moments[1]
        return (parts * self._shares[:, None]).sum(-1)

    def _parts(self, vectors: Tensor) -> Tensor:
        """Return the four parts of each trait, shape (problems, n, traits, 4)."""
        b, k, f, d = self._waves.shape
        angles = (vectors @ self._waves.reshape(b, k * f, d).transpose(1, 2)).reshape(b, -1, k, f)
        smooth = ((angles + self._phases[:, None]).cos() * self._amplitudes[:, None]).sum(-1)
        away = vectors[:, :, None] - self._optimum[:, None]
        sides = torch.where(away > 0, self._sides[:, None, :, 0], self._sides[:, None, :, 1])
        far = (away * sides * self._relevance[:, None]).square().sum(-1)
        bowl = -((far + 1e-4) ** (0.5 * self._power[:, None, :, 0]))
        frequency, phase = self._bends
        waves = (2 * math.pi * frequency[:, None] * vectors[:, :, None] + phase[:, None]).sin()
        additive = (waves * self._relevance[:, None]).sum(-1)
        along = ((vectors - 0.5) @ self._direction.transpose(1, 2)) - self._threshold[:, None, :, 0]
        step = (self._sharpness[:, None, :, 0] * along).tanh()
        return torch.stack([smooth, bowl, additive, step], -1)


def _relevance(draws: Draws, b: int, d: int) -> Tensor:
    wide = draws.log_normal(b, d, sd=0.8)
    idle = draws.uniform(b, d) < draws.uniform(b, 1, low=-0.2, high=0.7)
    return wide * torch.where(idle, draws.uniform(b, d, high=0.15), torch.ones(1, device=draws.device))


def _tails(draws: Draws, b: int, k: int) -> Tensor:
    # A chi-square with 5 degrees of freedom under a normal: Student's t, the frequencies of Matern 5/2.
    return (5.0 / draws.normal(b, k, WAVES, 5).square().sum(-1, keepdim=True).clamp_min(0.3)).sqrt()
