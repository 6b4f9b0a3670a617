"""What the network learns from one batch of synthetic problems: forecasts of later steps of every trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from automl_gpt_ray.curves.learned.bins import UNTRIED, log_density
from automl_gpt_ray.curves.learned.draws import Draws
from automl_gpt_ray.curves.learned.model import Network
from automl_gpt_ray.curves.learned.prior import Problems

ASKED = 2
NEW_WEIGHT = 2.5
GROUPS = ("untried", "to 10 %", "to 25 %", "to 50 %", "more")
_EDGES = (0.0, 0.1, 0.25, 0.5)


@final
@dataclass(frozen=True)
class Answers:
    """What came of it.

    Attributes:
        loss: Of one token, of those that were asked about; the untried count NEW_WEIGHT times.
        groups: Mean negative log-likelihood of reported finals by GROUPS, NaN where there were none.
    """

    loss: Tensor
    groups: Tensor


def answers(network: Network, problems: Problems, seed: int) -> Answers:
    """Ask of each trial ASKED steps, the first of them its last; `seed` draws the others."""
    draws = Draws(seed, problems.z.device)
    b, n, steps = problems.z.shape
    seen = problems.seen
    share = torch.arange(1, steps + 1, device=seen.device) / steps
    last = _at(problems.z, (seen - 1).clamp_min(0))
    gone = (seen > 0) & _at(problems.lost, (seen - 1).clamp_min(0))
    tokens = network(
        share.expand(b, n, steps),
        problems.z,
        seen,
        gone,
        torch.full((b, n), 1 / steps, device=seen.device),
        problems.vectors,
        problems.context,
    )
    wanted, clean = _wanted(draws, seen, steps)
    logits = network.decode(
        tokens[:, :, None].expand(b, n, ASKED, -1),
        wanted / steps,
        (seen / steps)[..., None].expand(b, n, ASKED),
        clean.float(),
    )
    truth = torch.where(clean, problems.clean.gather(-1, wanted - 1), problems.z.gather(-1, wanted - 1))
    anchor = torch.where(seen > 0, last, torch.full_like(last, UNTRIED))
    worth = torch.where(seen > 0, 1.0, NEW_WEIGHT) * ~gone
    nll = -log_density(logits, truth - anchor[..., None])
    loss = (nll * worth[..., None]).sum() / (ASKED * worth.sum()).clamp_min(1.0)
    return Answers(loss, _by_group(nll[..., 0].detach(), seen, steps, (worth > 0) & ~clean[..., 0]))


def _wanted(draws: Draws, seen: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return the steps asked for, shape (problems, trials, ASKED), and whether without noise."""
    b, n = seen.shape
    # Log-uniform ahead: the next step, which tells soonest how good forecasts are, as often as a far one.
    ahead = (steps - seen).clamp_min(1)[..., None].float()
    some = seen[..., None] + (ahead.log() * draws.uniform(b, n, ASKED)).exp().round().long()
    some[..., 0] = steps
    clean = draws.chance(0.3, b, n, ASKED)
    clean[..., 0] = draws.chance(0.15, b, n)
    # Where it stands without its noise is asked of tried ones too.
    now = clean & (seen > 0)[..., None] & draws.chance(0.4, b, n, ASKED)
    some = torch.where(now, seen[..., None], some).clamp(1, steps)
    clean = clean | (some <= seen[..., None])
    return some, clean


def _by_group(nll: Tensor, seen: Tensor, steps: int, counts: Tensor) -> Tensor:
    group = torch.bucketize(seen / steps, torch.tensor(_EDGES, device=seen.device))
    found = [nll[counts & (group == i) & (seen < steps)].mean() for i in range(len(GROUPS))]
    return torch.stack(found)


def _at(values: Tensor, place: Tensor) -> Tensor:
    return values.gather(-1, place[..., None]).squeeze(-1)
