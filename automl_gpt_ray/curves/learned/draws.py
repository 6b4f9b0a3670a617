"""Random numbers of the prior, on any device, all from one generator."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor


@final
class Draws:
    """What the prior draws.

    Args:
        seed: Equal seeds give equal draws on one kind of device.
        device: Where the tensors live.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._generator = torch.Generator(device=self.device)
        self._generator.manual_seed(seed)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return uniform numbers."""
        return low + (high - low) * torch.rand(shape, generator=self._generator, device=self.device)

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Return numbers whose logarithm is uniform."""
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def normal(self, *shape: int, sd: float = 1.0) -> Tensor:
        """Return normal numbers of mean 0."""
        return sd * torch.randn(shape, generator=self._generator, device=self.device)

    def log_normal(self, *shape: int, median: float = 1.0, sd: float) -> Tensor:
        """Return log-normal numbers; `sd` is of the logarithm."""
        return median * self.normal(*shape, sd=sd).exp()

    def chance(self, p: float, *shape: int) -> Tensor:
        """Return truths, each with probability `p`."""
        return self.uniform(*shape) < p

    def one_of(self, shares: tuple[float, ...], *shape: int) -> Tensor:
        """Return positions in `shares`, each as often as its share."""
        edges = torch.tensor(shares, device=self.device).cumsum(0)
        return torch.searchsorted(edges / edges[-1], self.uniform(*shape)).clamp_max(len(shares) - 1)

    def whole(self, low: int, high: int) -> int:
        """Return one whole number from `low` to `high`, both included."""
        return min(high, low + int(self.uniform(1).item() * (high - low + 1)))

    def whole_log(self, low: int, high: int) -> int:
        """Return one whole number from `low` to `high`, log-uniform."""
        return max(low, min(high, round(float(self.log_uniform(1, low=low - 0.45, high=high + 0.45).item()))))
