"""From checkpoints to the networks in the package, with their card.

    python -m automl_gpt_ray.curves.learned.ship FOLDER/weights.safetensors [MORE ...] [--mean]

Of several networks the forecasts are averaged; with `--mean` the weights are, which costs one network's time: for
checkpoints of one training at a constant rate (Izmailov et al. 2018, arXiv 1803.05407). The calibration on the card
is of held-out synthetic problems.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from automl_gpt_ray.curves.learned import checkpoint, weights
from automl_gpt_ray.curves.learned.bins import UNTRIED, quantiles
from automl_gpt_ray.curves.learned.lessons import GROUPS
from automl_gpt_ray.curves.learned.model import Network, Shape
from automl_gpt_ray.curves.learned.prior import sample

HELD_OUT, BATCHES = 2_100_000_000, 20
WHAT = "In-context forecaster of learning curves: one token a trial, any later step as 128 bins of a density."
TRAINED_ON = "Synthetic tuning problems of curves.learned.prior; no real curve, public or private."
LIMITS = [
    "4 to 64 steps, 1 to 16 hyperparameters in at most 24 entries, up to 200 trials were trained on; "
    "longer trainings are read at 64 places, further entries and trials are thinned",
    "a run whose trials have reported only a step or two has no scale yet: forecasts then are guesses",
    "forecasts of configurations not yet tried lean on few statistics of each hyperparameter",
]


def load(path: Path) -> tuple[Network, dict[str, Any]]:
    """Return the averaged network of a checkpoint, and what is told beside it."""
    parts, told = checkpoint.read(path)
    network = Network(Shape(**told["shape"]))
    network.load_state_dict(parts["averaged"])
    return network.eval(), told


@torch.no_grad()
def averaged(networks: Sequence[Network]) -> Network:
    """Return a network with the mean of the weights of networks of one shape."""
    found, states = Network(networks[0].shape), [network.state_dict() for network in networks]
    found.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    return found.eval()


@torch.no_grad()
def calibration(networks: Sequence[Network], batches: int = BATCHES) -> dict[str, dict[str, float]]:
    """Return the coverage of 80 and 90 % intervals of last reported values, by how much was observed."""
    levels = torch.tensor([0.05, 0.1, 0.9, 0.95])
    inside: dict[str, list[Tensor]] = {name: [] for name in GROUPS}
    for seed in range(HELD_OUT, HELD_OUT + batches):
        problems = sample(seed, 1000)
        b, n, steps = problems.z.shape
        seen = problems.seen
        share = torch.arange(1, steps + 1) / steps
        last = (seen - 1).clamp_min(0)[..., None]
        gone = (seen > 0) & problems.lost.gather(-1, last).squeeze(-1)
        resolution = torch.full((b, n), 1 / steps)
        told = (share.expand(b, n, steps), problems.z, seen, gone, resolution, problems.vectors, problems.context)
        logits = [net.decode(net(*told), torch.ones(b, n), seen / steps, torch.zeros(b, n)) for net in networks]
        mean = torch.stack(logits).softmax(-1).mean(0).log()
        anchor = torch.where(seen > 0, problems.z.gather(-1, last).squeeze(-1), torch.full((b, n), UNTRIED))
        found, truth = quantiles(mean, levels), problems.z[..., -1] - anchor
        hits = torch.stack([(found[..., i] <= truth) & (truth <= found[..., 3 - i]) for i in (1, 0)], -1).float()
        group = torch.bucketize(seen / steps, torch.tensor([0.0, 0.1, 0.25, 0.5]))
        for i, name in enumerate(GROUPS):
            inside[name].append(hits[(group == i) & (seen < steps) & ~gone])
    means = {name: torch.cat(hits).mean(0).tolist() for name, hits in inside.items()}
    return {name: {"80 %": round(a, 3), "90 %": round(c, 3)} for name, (a, c) in means.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the package's networks."""
    parser = argparse.ArgumentParser(description="Ship checkpoints as the package's networks.")
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--mean", action="store_true", help="one network, with the mean of their weights")
    parser.add_argument("--to", type=Path, default=weights.SHIPPED)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    loaded = [load(path) for path in options.checkpoints]
    found = [network for network, _ in loaded]
    networks = [averaged(found)] if options.mean else found
    card = {
        "what": WHAT,
        "trained_on": TRAINED_ON,
        "limits": LIMITS,
        "parameters": sum(p.numel() for p in networks[0].parameters()),
        "coverage_on_held_out_synthetic": calibration(networks),
        "training": [
            {
                "steps": told["step"],
                "minutes": round(told["seconds"] / 60, 1),
                "settings": told["settings"],
                "held_out_negative_log_likelihood": told["scores"][-1] if told["scores"] else {},
            }
            for _, told in loaded
        ],
        "shipped": "the mean of the weights of the above" if options.mean else "all of the above",
        "licence": "as the package",
    }
    weights.write(options.to, networks, card)


if __name__ == "__main__":
    main()
