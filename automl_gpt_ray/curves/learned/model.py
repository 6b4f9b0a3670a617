"""The network: one token a curve, the context's curves as the only keys, any later step decoded from a token.

    network = Network(Shape())
    tokens = network(steps, z, seen, lost, resolution, vectors, context)
    logits = network.decode(tokens, step, last, clean)       # `bins` of z at a step

Invariant to the order of trials and of the entries of their configurations. A trial never attends to itself:
what it knows of itself is its token, so that a curve is forecast alike whether or not it is of the context.
Distances between configurations enter attention as a bias, and values as Gaussian processes (`kriging`); how
much each hyperparameter matters is read off the context (`relevance`). Compare LC-PFN (Adriaensen et al. 2023)
and FT-PFN (Rakotoarison et al. 2024), which have one token a point.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from automl_gpt_ray.curves.learned.bins import BINS
from automl_gpt_ray.curves.learned.features import FEATURES, features
from automl_gpt_ray.curves.learned.kriging import Kriging, distances
from automl_gpt_ray.curves.learned.relevance import Relevance


@final
@dataclass(frozen=True)
class Shape:
    """Sizes of a network.

    Attributes:
        width: Of a token.
        layers: Of attention.
        heads: Of each.
        processes: Gaussian processes in each of two layers of them.
        told: Numbers told of each entry of the configuration.
    """

    width: int = 128
    layers: int = 4
    heads: int = 8
    processes: int = 6
    told: int = 32

    def to_dict(self) -> dict[str, Any]:
        """Return what makes an equal shape."""
        return asdict(self)


@final
class Network(nn.Module):
    """See the module.

    Args:
        shape: Sizes.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        w, t = shape.width, shape.told
        self.relevance = nn.ModuleList([Relevance(FEATURES, 4, t), Relevance(w, 4, t)])
        self.curve = nn.Sequential(nn.Linear(FEATURES, 2 * w), nn.GELU(), nn.Linear(2 * w, w))
        self.entry = nn.Sequential(nn.Linear(t + 5, 2 * t), nn.GELU(), nn.Linear(2 * t, 2 * t), nn.GELU())
        self.config = nn.Linear(2 * t, w)
        self.size = nn.Linear(2, w)
        self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.layers)])
        self.kriging = nn.ModuleList([Kriging(w, shape.processes, t) for _ in range(2)])
        self.norm = nn.LayerNorm(w)
        self.head = nn.Sequential(nn.Linear(w + STEP, 192), nn.GELU(), nn.Linear(192, BINS))

    def forward(
        self, steps: Tensor, z: Tensor, seen: Tensor, lost: Tensor, resolution: Tensor, vectors: Tensor, context: int
    ) -> Tensor:
        """Return tokens, shape (problems, trials, width); see `features` for the first five arguments.

        Args:
            steps: Shape (problems, trials, points).
            z: Same shape.
            seen: Shape (problems, trials).
            lost: Same.
            resolution: Same.
            vectors: Configurations, shape (problems, trials, entries).
            context: The first so many trials, at least 1, are the context; the others are only asked about.
        """
        raw = features(steps, z, seen, lost, resolution)
        known = vectors[:, :context]
        told = self.relevance[0](raw[:, :context], known)
        tokens = self.curve(raw) + self._configurations(raw, vectors, told, context)
        middle = len(self.layers) // 2
        for i, layer in enumerate(self.layers):
            if i == middle:
                told = self.relevance[1](tokens[:, :context], known)
            if i in (0, middle):
                tokens = self.kriging[int(i == middle)](tokens, vectors, told, context)
            tokens = layer(tokens, vectors, told, context)
        return torch.as_tensor(self.norm(tokens))

    def decode(self, tokens: Tensor, step: Tensor, last: Tensor, clean: Tensor) -> Tensor:
        """Return logits over `bins`, shape (..., BINS).

        Args:
            tokens: Of the curves asked about, shape (..., width).
            step: Share of a full training asked for, shape (...).
            last: That of the last known step; 0 for an untried configuration.
            clean: 1 for the value without noise, 0 for a report.
        """
        return torch.as_tensor(self.head(torch.cat([tokens, _step(step, last, clean)], -1)))

    def _configurations(self, raw: Tensor, vectors: Tensor, told: Tensor, context: int) -> Tensor:
        b, s, d = vectors.shape
        # Trials of the context whose last value is among the best, softly: where they lie tells where to look.
        ends = raw[:, :context, -14] + 0.3 * raw[:, :context, -9]
        share = (8.0 * ends).softmax(1)
        best = (share[:, None] @ vectors[:, :context]).expand(b, s, d)
        entries = torch.stack([vectors - 0.5, (vectors - 0.5).square(), vectors - best, (vectors - best).abs()], -1)
        few = torch.full((b, s, d, 1), 1.0 / math.sqrt(d), device=vectors.device)
        every = torch.cat([entries, few, told[:, None].expand(b, s, d, told.shape[-1])], -1)
        n = torch.full((b, s), math.log(context) / 4, device=vectors.device)
        m = torch.full((b, s), math.log(d) / 3, device=vectors.device)
        return torch.as_tensor(
            self.config(self.entry(every).sum(2) / math.sqrt(d)) + self.size(torch.stack([n, m], -1))
        )


@final
class Layer(nn.Module):
    """Attention to the other trials of the context, nearer ones more, then a perceptron a token."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        w = shape.width
        self.heads = shape.heads
        self.norm, self.norm_out = nn.LayerNorm(w), nn.LayerNorm(w)
        self.query, self.key_value, self.out = nn.Linear(w, w), nn.Linear(w, 2 * w), nn.Linear(w, w)
        self.nobody = nn.Parameter(torch.zeros(2, shape.heads, w // shape.heads))
        self.weigh = nn.Linear(shape.told, shape.heads)
        self.near = nn.Parameter(torch.linspace(-4.0, 3.0, shape.heads))
        self.perceptron = nn.Sequential(nn.Linear(w, 3 * w), nn.GELU(), nn.Linear(3 * w, w))

    def forward(self, tokens: Tensor, vectors: Tensor, told: Tensor, context: int) -> Tensor:
        """Return tokens, shape (problems, trials, width)."""
        b, s, w = tokens.shape
        h = self.heads
        normed = self.norm(tokens)
        query = self.query(normed).reshape(b, s, h, w // h).transpose(1, 2)
        pairs = self.key_value(normed[:, :context]).reshape(b, context, 2, h, w // h).permute(2, 0, 3, 1, 4)
        key, value = torch.cat([pairs, self.nobody[:, None, :, None].expand(2, b, h, 1, w // h)], 3)
        weight = (self.weigh(told) + self.near).transpose(1, 2).clamp(-8.0, 5.0).exp()
        bias = -distances(vectors, weight, context)
        itself = torch.eye(s, context, dtype=torch.bool, device=tokens.device)
        bias = bias.masked_fill(itself, -1e4)
        bias = torch.cat([bias, torch.zeros(b, h, s, 1, device=tokens.device)], -1)
        scores = query @ key.transpose(2, 3) / math.sqrt(w // h) + bias
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(b, s, w)
        tokens = tokens + self.out(mixed)
        return torch.as_tensor(tokens + self.perceptron(self.norm_out(tokens)))


STEP = 9


def _step(step: Tensor, last: Tensor, clean: Tensor) -> Tensor:
    s, t = step.clamp(1e-3, 1.0), last.clamp(1e-3, 1.0)
    ahead = (s - t).clamp_min(0.0)
    kinds = [s, s.log() / 3, t, t.log() / 3, ahead, ahead.sqrt(), (s / t).log() / 3, (last > 0).float(), clean]
    return torch.stack(kinds, -1)
