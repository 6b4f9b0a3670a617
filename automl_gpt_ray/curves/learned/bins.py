"""A full distribution over z as shares of BINS bins around an anchor.

The anchor of a curve is its last value, UNTRIED for a configuration not yet tried; bins are narrow near it and
wide far off, because a curve half trained moves by thousandths and one just begun by the whole range:

    edge_i = anchor + SOFT sinh(u_i),  u_i even from -asinh(REACH / SOFT) to asinh(REACH / SOFT)

Density is constant within a bin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BINS = 128
SOFT, REACH, UNTRIED = 0.03, 7.0, 0.8
_END = math.asinh(REACH / SOFT)


def edges(device: torch.device | str = "cpu") -> Tensor:
    """Return the edges relative to the anchor, shape (BINS + 1,)."""
    return SOFT * torch.linspace(-_END, _END, BINS + 1, device=device, dtype=torch.float64).sinh().float()


def log_density(logits: Tensor, away: Tensor) -> Tensor:
    """Return the log density at `away` (z minus anchor), both of equal leading shape; `logits` has BINS more."""
    place = (((away / SOFT).asinh() + _END) * (BINS / (2 * _END))).floor().long().clamp(0, BINS - 1)
    width = edges(logits.device).diff().log()
    share = logits.log_softmax(-1).gather(-1, place[..., None]).squeeze(-1)
    return share - width[place]


def quantiles(logits: Tensor, levels: Tensor) -> Tensor:
    """Return the quantiles relative to the anchor: (..., BINS), (levels,) to (..., levels), increasing."""
    shares = logits.softmax(-1).cumsum(-1)
    shares = (shares / shares[..., -1:]).contiguous()
    wanted = levels.expand(*shares.shape[:-1], len(levels)).contiguous()
    place = torch.searchsorted(shares, wanted).clamp_max(BINS - 1)
    below = torch.where(place > 0, shares.gather(-1, (place - 1).clamp_min(0)), torch.zeros_like(wanted))
    inside = ((wanted - below) / (shares.gather(-1, place) - below).clamp_min(1e-9)).clamp(0.0, 1.0)
    ends = edges(logits.device)
    return ends[place] + inside * (ends[place + 1] - ends[place])


def moments(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance relative to the anchor, each without the last axis."""
    ends, shares = edges(logits.device), logits.softmax(-1)
    middle, width = (ends[1:] + ends[:-1]) / 2, ends.diff()
    mean = shares @ middle
    square = shares @ (middle.square() + width.square() / 12)
    return mean, (square - mean.square()).clamp_min(1e-8)
