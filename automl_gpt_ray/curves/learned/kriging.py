"""A Gaussian process inside the network: what the other trials say of each one, in the network's own terms.

For each head the network reads a value and its noise off every curve, and how much each entry of the
configuration matters off the context; the process answers in closed form, for trials of the context without
themselves. Attention alone averages neighbours, which a process does better from few of them.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

NOISE = 3e-3


@final
class Kriging(nn.Module):
    """One layer; its answer is added to the tokens.

    Args:
        width: Of the tokens.
        heads: Processes side by side.
        told: Numbers told of each entry, by `Relevance`.
    """

    def __init__(self, width: int, heads: int, told: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, 2 * heads)
        self.weigh = nn.Linear(told, heads)
        self.length = nn.Parameter(torch.linspace(-1.0, 1.0, heads))
        self.out = nn.Sequential(nn.Linear(5 * heads, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, tokens: Tensor, vectors: Tensor, told: Tensor, context: int) -> Tensor:
        """Return tokens, shape (problems, trials, width); the first `context` trials are what is known."""
        s = tokens.shape[1]
        value, noise = self.read(self.norm(tokens)).chunk(2, -1)
        value, noise = value.transpose(1, 2), nn.functional.softplus(noise).transpose(1, 2) + NOISE
        known, doubt = value[..., :context], noise[..., :context]
        trust = 1 / (doubt + 0.3)
        centre = (trust * known).sum(-1, keepdim=True) / trust.sum(-1, keepdim=True)
        spread = (trust * (known - centre).square()).sum(-1, keepdim=True) / trust.sum(-1, keepdim=True)
        size = (spread + 0.02).sqrt()
        rest = ((known - centre) / size)[..., None]
        cross = self._covariance(vectors, told, context)
        inner = cross[:, :, :context] + torch.diag_embed(doubt)
        lower = torch.linalg.cholesky(inner)
        inverse = torch.cholesky_inverse(lower)
        weights = inverse @ rest
        mean = (cross @ weights).squeeze(-1)
        var = 1 - ((cross @ inverse) * cross).sum(-1)
        diagonal = inverse.diagonal(dim1=-2, dim2=-1)
        mean_without = (rest - weights / diagonal[..., None]).squeeze(-1)
        var_without = 1 / diagonal - doubt
        mean = torch.cat([mean_without, mean[..., context:]], -1)
        var = torch.cat([var_without, var[..., context:]], -1).clamp_min(1e-4)
        own = (value - centre) / size
        answer = [mean, var.sqrt(), mean * size + centre, own - mean, size.expand(-1, -1, s)]
        return torch.as_tensor(tokens + self.out(torch.cat(answer, 1).transpose(1, 2)))

    def _covariance(self, vectors: Tensor, told: Tensor, context: int) -> Tensor:
        """Return Matern 3/2 between all trials and the context, shape (problems, heads, trials, context)."""
        weight = (self.weigh(told) + self.length).transpose(1, 2).clamp(-6.0, 4.0).exp()
        apart = distances(vectors, weight, context).clamp_min(1e-8).sqrt() * 3**0.5
        return (1 + apart) * (-apart).exp()


def distances(vectors: Tensor, weight: Tensor, context: int) -> Tensor:
    """Return weighted square distances from all trials to the context, shape (problems, heads, trials, context).

    Args:
        vectors: Shape (problems, trials, entries).
        weight: Of each entry, shape (problems, heads, entries), positive.
        context: How many of the trials are the context.
    """
    scaled = vectors[:, None] * weight.sqrt()[:, :, None]
    here = scaled[:, :, :context]
    square = scaled.square().sum(-1)[..., None] + here.square().sum(-1)[:, :, None] - 2 * scaled @ here.transpose(2, 3)
    return square.clamp_min(0.0)
