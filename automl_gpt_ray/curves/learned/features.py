"""What the network reads of one curve: FEATURES numbers, whatever the number and spacing of its points.

Values are on the context's scale, steps are shares of a full training. A curve is read at GRID places, log-even
between its first and last step, relative to its last value; beside them how it moved over its last part, how
noisy it is, how far below its best it stands, and where in time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from automl_gpt_ray.curves.scale import FLOOR

GRID = 12
TAIL = (0.5, 0.7, 0.85, 0.95)
SOFT = 0.02
FEATURES = 2 * (GRID - 1) + 2 * len(TAIL) + 14


def features(steps: Tensor, z: Tensor, seen: Tensor, lost: Tensor, resolution: Tensor) -> Tensor:
    """Return shape (..., FEATURES), finite.

    Args:
        steps: Shares of a full training of each point, increasing, shape (..., points); beyond `seen` ignored.
        z: Values there, shape (..., points).
        seen: How many points there are, shape (...); 0 for none.
        lost: Whether training diverged at the last of them, shape (...).
        resolution: One step, as a share of a full training, shape (...).
    """
    some = seen > 0
    last = (seen - 1).clamp_min(0)
    inside = torch.arange(steps.shape[-1], device=steps.device) < seen[..., None]
    steps = torch.where(inside, steps, torch.full_like(steps, 2.0)).contiguous()
    z = z.clamp(FLOOR, 6.0)
    end = _at(z, last)
    now = torch.where(some, _at(steps, last), torch.full_like(end, 1e-3)).clamp(1e-3, 1.0)
    begin = torch.where(some, steps[..., 0], now).clamp(1e-3, 1.0)
    places = torch.linspace(0, 1, GRID, device=z.device)[:-1]
    early = begin[..., None] * (now / begin)[..., None] ** places
    tail = now[..., None] * torch.tensor(TAIL, device=z.device)
    past = _read(steps, z, last, torch.cat([early, tail], -1)) - end[..., None]
    noise, best = _noise(z, inside, seen), z.masked_fill(~inside, FLOOR).amax(-1)
    told = torch.stack(
        [
            end,
            end.clamp_min(0.0).square(),
            _soft(best - end),
            noise,
            (best - end).clamp_max(2.0),
            now,
            now.log() / 3,
            (begin.log() - resolution.clamp_min(1e-3).log()) / 3,
            resolution.clamp_min(1e-3).log() / 3,
            seen.clamp_max(64).float().log1p() / 3,
            lost.float(),
            (seen == 1).float(),
            (now > 0.9999).float(),
            torch.ones_like(end),
        ],
        -1,
    )
    found = torch.cat([past, _soft(past), told], -1) * some[..., None]
    # A curve without a value is told by its resolution alone.
    empty = torch.zeros_like(found)
    empty[..., -6] = resolution.clamp_min(1e-3).log() / 3
    return torch.where(some[..., None], found, empty)


def _soft(x: Tensor) -> Tensor:
    return (x / SOFT).asinh() / 3


def _at(values: Tensor, place: Tensor) -> Tensor:
    return values.gather(-1, place[..., None]).squeeze(-1)


def _read(steps: Tensor, z: Tensor, last: Tensor, where: Tensor) -> Tensor:
    """Return z at shares `where`, linear between points."""
    after = torch.searchsorted(steps, where.contiguous()).clamp_min(1)
    after = torch.minimum(after, last[..., None].clamp_min(1))
    a, b = steps.gather(-1, after - 1), steps.gather(-1, after)
    y, w = z.gather(-1, after - 1), z.gather(-1, after)
    share = ((where - a) / (b - a).clamp_min(1e-6)).clamp(0.0, 1.0)
    share = torch.where(last[..., None] > 0, share, torch.zeros_like(share))
    return y + share * (w - y)


def _noise(z: Tensor, inside: Tensor, seen: Tensor) -> Tensor:
    """Return the logarithm of the noise: what neighbours do not explain, a line between them taken away."""
    if z.shape[-1] < 3:
        return torch.zeros_like(z[..., 0])
    bend = (z[..., 2:] - 2 * z[..., 1:-1] + z[..., :-2]).square() * inside[..., 2:]
    count = (seen - 2).clamp_min(1)
    return ((bend.sum(-1) / count / 6 + 1e-7).log() / 6) * (seen > 2)
