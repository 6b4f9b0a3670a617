"""Learning curves of synthetic problems, from the traits of their configurations.

What each ingredient imitates (y: larger is better; s: share of a full training; all but noise is smooth):

    level       how good trainings end: many near a plateau, a long tail of bad ones, or a share that never learns
    shape       power law, stretched exponential, late-rising (Hill) and logarithmic growth, mixed; after a delay
    anneal      what a decaying learning rate adds towards the end; or two drops of it, the same for all trials
    overfit     past its peak a curve falls, some configurations much
    divergence  breaks for good (to NaN, or to a bad value), breaks and recovers, or explodes
    wander      slow wandering that the next steps share (reinforcement learning, small validation sets)
    noise       of each report, by problem and by trial, sometimes falling over time, heavy-tailed, or with dips
    rounding    a metric counted on few examples
    metric      a monotone map of all this: accuracies, losses of huge range, perplexities
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from automl_gpt_ray.curves.learned.draws import Draws

TRAITS = 10
LEVEL, RATE, POWER, DELAY, ANNEAL, OVERFIT, BREAK, NOISE, BEGIN, FORM = range(TRAITS)


@final
@dataclass(frozen=True)
class Curves:
    """Curves of a batch of problems, larger is better, shape (problems, trials, steps).

    Attributes:
        values: As reported; NaN from where training diverged for good.
        clean: The same without noise and rounding; NaN at the same steps.
    """

    values: Tensor
    clean: Tensor


def curves(draws: Draws, traits: Tensor, steps: int) -> Curves:
    """Draw curves of `steps` steps for traits of shape (problems, trials, TRAITS)."""
    b, n, _ = traits.shape
    # Trials of one configuration differ too.
    traits = traits + draws.log_uniform(b, 1, 1, low=0.003, high=0.3) * draws.normal(b, n, TRAITS)
    share = torch.arange(1, steps + 1, device=traits.device) / steps
    level, failed = _levels(draws, traits)
    begin = draws.normal(b, 1, sd=0.2) + draws.log_uniform(b, 1, low=0.005, high=0.15) * traits[..., BEGIN]
    rising = _shape(draws, traits, share)
    y = begin[..., None] + (level - begin)[..., None] * rising
    y = y + (1 - failed)[..., None] * (_anneal(draws, traits, share) - _overfit(draws, traits, share))
    wander = _some(draws, 0.5, b) * draws.log_uniform(b, 1, low=0.003, high=0.2) * draws.log_normal(b, n, sd=0.4)
    y = y + wander[..., None] * _walk(draws, b, n, share)
    noise = _noise(draws, traits, share)
    y, noise, lost = _broken(draws, traits, share, y, noise)
    metric = _metric(draws, b)
    clean, values = metric(y), metric(y + noise)
    values = _rounded(draws, values)
    nan = torch.full_like(y, math.nan)
    return Curves(torch.where(lost, nan, values), torch.where(lost, nan, clean))


def _levels(draws: Draws, traits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the final level of each trial, best near 1, and how far it failed to learn, in [0, 1]."""
    b = len(traits)
    u = torch.special.ndtr(traits[..., LEVEL])
    fails = _some(draws, 0.4, b) * draws.uniform(b, 1, low=0.05, high=0.6)
    soft = draws.log_uniform(b, 1, low=0.002, high=0.1)
    failed = torch.sigmoid((fails - u) / soft) * (fails > 0)
    v = ((u - fails) / (1 - fails)).clamp(0.0, 1.0)
    bent = draws.log_normal(b, 1, sd=0.7)
    plateau = draws.chance(0.6, b, 1)
    level = torch.where(plateau, 1 - (1 - v).clamp_min(1e-6) ** (1 + bent), v.clamp_min(1e-6) ** bent)
    spread = draws.log_uniform(b, 1, low=0.1, high=1.0)
    return (1 - failed) * (1 - spread * (1 - level)), failed


def _shape(draws: Draws, traits: Tensor, share: Tensor) -> Tensor:
    """Return how much of the way each trial has gone, 0 at the beginning, 1 at the end or in the limit."""
    b = len(traits)
    spread = draws.log_uniform(b, 1, low=0.1, high=1.5)
    tau = (draws.log_uniform(b, 1, low=0.01, high=1.2) * (spread * traits[..., RATE]).exp()).clamp(2e-3, 5.0)
    power = draws.log_normal(b, 1, sd=0.4) * (0.25 * traits[..., POWER]).exp()
    delays = _some(draws, 0.3, b) * draws.uniform(b, 1, high=0.4)
    delay = (delays * (1 + traits[..., DELAY])).clamp(0.0, 0.95)
    t = (share - delay[..., None]).clamp_min(0.0)
    tau, power = tau[..., None], power[..., None]
    hill = (1 + 2 * power).clamp_max(6.0)
    lifted = (t / tau).clamp_min(1e-6)
    kinds = torch.stack(
        [
            1 - (1 + lifted) ** -power,
            1 - (-(lifted ** (0.4 + 0.6 * power).clamp_max(2.0))).exp(),
            1 / (1 + lifted**-hill),
            (1 + lifted).log() / (1 + 1 / tau).log(),
        ],
        -1,
    )
    logits = draws.normal(b, 1, 4, sd=2.0) + torch.tensor([0.8, 0.8, 0.0, 0.0], device=share.device)
    lean = draws.normal(b, 1, 4, sd=0.5) * traits[..., FORM, None]
    y = (kinds * (logits + lean).softmax(-1)[:, :, None]).sum(-1)
    # Either the level is the last value, or it is the limit of a curve that is still on its way.
    reached = y[..., -1:].clamp_min(0.05) ** draws.uniform(b, 1, 1).round()
    return y / reached


def _anneal(draws: Draws, traits: Tensor, share: Tensor) -> Tensor:
    b = len(traits)
    gain = draws.log_uniform(b, 1, low=0.01, high=0.4) * (0.6 * traits[..., ANNEAL]).exp()
    late = (0.5 - 0.5 * (math.pi * share).cos()) ** draws.log_uniform(b, 1, 1, low=0.5, high=4.0)
    drops = draws.uniform(b, 2, 1, low=0.2, high=0.95)
    stairs = (torch.sigmoid((share - drops) / 0.01) * draws.uniform(b, 2, 1)).sum(1, keepdim=True)
    kind = draws.one_of((0.55, 0.33, 0.12), b, 1, 1)
    zero = torch.zeros(1, device=share.device)
    added = torch.where(kind == 1, late, torch.where(kind == 2, stairs, zero))
    # Annealing makes up for what was missing, so the last value stays what the level says.
    return gain[..., None] * (added - added[..., -1:])


def _overfit(draws: Draws, traits: Tensor, share: Tensor) -> Tensor:
    b = len(traits)
    much = _some(draws, 0.35, b) * draws.log_uniform(b, 1, low=0.02, high=1.0)
    excess = torch.nn.functional.softplus(2 * traits[..., OVERFIT] - draws.normal(b, 1)) / 2
    peak = draws.log_uniform(b, 1, low=0.05, high=1.0) * (-0.4 * traits[..., OVERFIT]).exp()
    past = (share - peak[..., None]).clamp_min(0.0)
    past = past ** draws.uniform(b, 1, 1, low=0.6, high=1.5)
    return (much * excess)[..., None] * past


def _walk(draws: Draws, b: int, n: int, share: Tensor) -> Tensor:
    """Return a random walk in linear or logarithmic time, drawn back to 0, its variance about 1 at the end."""
    steps = len(share)
    log = draws.chance(0.5, b, 1, 1)
    gaps = torch.diff(share.log() / math.log(steps + 1), prepend=-torch.ones(1, device=share.device))
    width = torch.where(log, gaps.clamp_min(0.0).sqrt(), torch.full_like(gaps, steps**-0.5))
    walk = (draws.normal(b, n, steps) * width).cumsum(-1)
    back = draws.chance(0.4, b, 1, 1).float() * draws.uniform(b, 1, 1)
    smooth = torch.nn.functional.avg_pool1d(walk, 5, 1, 2, count_include_pad=False)
    return walk - back * torch.where(draws.chance(0.5, b, 1, 1), smooth, walk[..., :1])


def _noise(draws: Draws, traits: Tensor, share: Tensor) -> Tensor:
    b, n, _ = traits.shape
    size = _some(draws, 0.75, b) * draws.log_uniform(b, 1, low=3e-4, high=0.1)
    size = size * (draws.uniform(b, 1, high=0.6) * traits[..., NOISE]).exp()
    falling = 1 + (draws.chance(0.5, b, 1, 1).float() * draws.uniform(b, 1, 1, high=4.0)) * (1 - share)
    noise = draws.normal(b, n, len(share))
    tailed = noise * (4.0 / draws.normal(b, n, len(share), 4).square().sum(-1).clamp_min(0.2)).sqrt()
    noise = torch.where(draws.chance(0.2, b, 1, 1), tailed, noise)
    dips = draws.chance(0.03, b, n, len(share)) & draws.chance(0.25, b, 1, 1)
    depth = draws.log_uniform(b, 1, 1, low=0.03, high=0.6) * draws.uniform(b, n, len(share))
    return size[..., None] * falling * noise - dips * depth


def _broken(draws: Draws, traits: Tensor, share: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return y and noise after what diverged, and where training is lost (NaN)."""
    b, n, _ = y.shape
    chance = _some(draws, 0.4, b) * draws.uniform(b, 1, low=0.01, high=0.35)
    u = torch.special.ndtr(-traits[..., BREAK])
    broken = u < chance
    when = draws.log_uniform(b, n, low=0.02, high=1.2) * draws.uniform(b, 1, low=0.2, high=1.0)
    after = broken[..., None] & (share >= when[..., None])
    since = (share - when[..., None]).clamp_min(0.0)
    kind = draws.one_of((0.35, 0.25, 0.2, 0.2), b, 1, 1)
    bottom = draws.normal(b, 1, 1, sd=0.2) - draws.uniform(b, n, 1, high=0.4)
    recovery = (-since / draws.log_uniform(b, n, 1, low=0.02, high=0.5)).exp()
    spike = y - recovery * draws.uniform(b, n, 1)
    exploded = y - ((since * draws.log_uniform(b, n, 1, low=1.0, high=30.0)).clamp_max(6.0).exp() - 1)
    y = torch.where(
        after & (kind == 1),
        bottom,
        torch.where(after & (kind == 2), spike, torch.where(after & (kind == 3), exploded, y)),
    )
    noise = torch.where(after & (kind == 1), noise * draws.uniform(b, 1, 1), noise)
    return y, noise, after & (kind == 0)


def _metric(draws: Draws, b: int) -> Callable[[Tensor], Tensor]:
    kind = draws.one_of((0.5, 0.15, 0.25, 0.1), b, 1, 1)
    bend = draws.log_uniform(b, 1, 1, low=0.5, high=4.0)

    def told(y: Tensor) -> Tensor:
        y = y.clamp(-400.0, 3.0)
        up = (bend * y.clamp_min(-20.0)).exp() / bend
        down = -(-bend * y).clamp_max(30.0).exp() / bend
        logs = torch.where(y < 1.5, -(2.0 - y).clamp_min(0.5).log(), y - 1.5 - math.log(0.5))
        return torch.where(kind == 1, up, torch.where(kind == 2, down, torch.where(kind == 3, logs, y)))

    return told


def _rounded(draws: Draws, values: Tensor) -> Tensor:
    b = len(values)
    unit = draws.log_uniform(b, 1, 1, low=5e-4, high=0.03)
    return torch.where(draws.chance(0.12, b, 1, 1), (values / unit).round() * unit, values)


def _some(draws: Draws, share: float, b: int) -> Tensor:
    return draws.chance(share, b, 1).float()
