"""Which hyperparameters matter in this context, by statistics that the network learns to read.

For each head a number is read off every curve; ridge regression of it on all entries of the configuration and
their squares, and plain correlations, tell how it depends on each. Entries are treated alike: neither their
order nor their number is known to the network.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

STATISTICS = 6
RIDGE = 0.05


@final
class Relevance(nn.Module):
    """Statistics of each entry, turned into `width` numbers.

    Args:
        tokens: Numbers a curve.
        heads: Numbers read off a curve.
        width: Numbers told of each entry.
    """

    def __init__(self, tokens: int, heads: int, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(tokens, 2 * heads)
        self.told = nn.Sequential(
            nn.Linear(heads * STATISTICS + 4, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.GELU()
        )

    def forward(self, tokens: Tensor, vectors: Tensor) -> Tensor:
        """Return (problems, entries, width) from the context's tokens (problems, n, ·) and vectors."""
        b, n, d = vectors.shape
        value, weight = self.read(tokens).chunk(2, -1)
        weight = weight.sigmoid() + 0.05
        weight = weight / weight.sum(1, keepdim=True)
        x = (vectors - vectors.mean(1, keepdim=True)) / (vectors.std(1, keepdim=True, correction=0) + 0.05)
        square = x.square() - x.square().mean(1, keepdim=True)
        design = torch.cat([x, square], -1)
        v = value - (weight * value).sum(1, keepdim=True)
        size = (weight * v.square()).sum(1, keepdim=True)
        v = v / (size + 1e-4).sqrt()
        weighted = weight.transpose(1, 2)[..., None] * design[:, None]
        gram = weighted.transpose(2, 3) @ design[:, None]
        onto = (weighted * v.transpose(1, 2)[..., None]).sum(2)
        ridge = (RIDGE + 2.0 / n) * torch.eye(2 * d, device=x.device)
        slopes = torch.linalg.solve(gram + ridge, onto)
        explained = (slopes * onto).sum(-1, keepdim=True).expand(-1, -1, d)
        line, bend = slopes[..., :d], slopes[..., d:]
        kinds = [onto[..., :d], onto[..., d:], line, bend, line.abs() + bend.abs(), explained]
        found = torch.stack(kinds, -1).permute(0, 2, 1, 3).reshape(b, d, -1)
        spread = vectors.std(1, correction=0)
        binary = (((vectors < 1e-6) | (vectors > 1 - 1e-6)).all(1)).float()
        size_n = torch.full_like(spread, float(n)).log() / 4
        size_d = torch.full_like(spread, float(d)).log() / 3
        return torch.as_tensor(self.told(torch.cat([found, torch.stack([spread, binary, size_n, size_d], -1)], -1)))
