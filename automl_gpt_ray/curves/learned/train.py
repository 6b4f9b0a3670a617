"""Training the forecaster on synthetic problems.

    python -m automl_gpt_ray.curves.learned.train --minutes 60 --out FOLDER [--device auto] [--cooldown 10] [--warm]

Goes on from the checkpoint in FOLDER where there is one. The learning rate is constant after a short warm-up,
so that a training can be extended at any time; the weights offered are a moving average of the latest, good
at any time. The last `--cooldown` minutes bring the rate down to 0: what they give is written apart, and a
later training goes on from before them.

FOLDER holds `state.safetensors` (to go on), `weights.safetensors` and `cooled.safetensors` (to use) and
`card.json` (data, cost, settings, scores).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from automl_gpt_ray.curves.learned import checkpoint, weights
from automl_gpt_ray.curves.learned.lessons import GROUPS, answers
from automl_gpt_ray.curves.learned.model import Network, Shape
from automl_gpt_ray.curves.learned.prior import sample

HELD_OUT = 2_000_000_000
EXAMINED = 12
STEP_SEEDS = 1_000_003


@final
@dataclass(frozen=True)
class Settings:
    """How the network is trained.

    Attributes:
        seed: Of everything random.
        rate: Learning rate of Adam with decoupled decay.
        warm_up: Steps over which it rises.
        decay: Weight decay.
        average: Of the moving average of weights, the share kept each step.
        tokens: Trials a batch, about.
        clip: Largest norm of a gradient.
    """

    seed: int = 0
    rate: float = 1e-3
    warm_up: int = 300
    decay: float = 0.02
    average: float = 0.999
    tokens: int = 1000
    clip: float = 1.0


@final
class Training:
    """One training, new or gone on with.

    Args:
        folder: Of its files.
        settings: For a new one; a checkpoint's own hold.
        shape: The same.
        device: Where.
        warm: Whether a new one starts from the weights of the first shipped network.
    """

    def __init__(
        self, folder: Path, settings: Settings, shape: Shape, device: torch.device, warm: bool = False
    ) -> None:
        self.folder, self.settings, self.device = folder, settings, device
        self.step, self.seconds, self.scores = 0, 0.0, list[dict[str, Any]]()
        folder.mkdir(parents=True, exist_ok=True)
        saved = folder / "state.safetensors"
        parts, told = checkpoint.read(saved, device) if saved.exists() else ({}, {})
        if told:
            self.settings, shape = Settings(**told["settings"]), Shape(**told["shape"])
            self.step, self.seconds, self.scores = told["step"], told["seconds"], told["scores"]
        elif warm:
            parts = {"network": (shipped := weights.load()[0]).state_dict()}
            shape = shipped.shape
        torch.manual_seed(self.settings.seed)
        self.network = Network(shape).to(device)
        self.averaged = Network(shape).to(device)
        self.network.load_state_dict(parts.get("network", self.network.state_dict()))
        self.averaged.load_state_dict(parts.get("averaged", self.network.state_dict()))
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.settings.rate, betas=(0.9, 0.98), weight_decay=self.settings.decay
        )
        for name, parameter in self.network.named_parameters() if told else ():
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": parts["first"][name],
                "exp_avg_sq": parts["second"][name],
            }

    def learn(self, factor: float = 1.0) -> float:
        """Take one step at `factor` times the learning rate, and return its loss."""
        settings = self.settings
        seed = settings.seed * STEP_SEEDS + self.step
        found = answers(self.network, sample(seed, settings.tokens, self.device), seed)
        rate = factor * settings.rate * min(1.0, (self.step + 1) / settings.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        found.loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        kept = min(settings.average, self.step / (self.step + 10))
        with torch.no_grad():
            for mine, theirs in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mine.lerp_(theirs, 1 - kept)
        return found.loss.item()

    @torch.no_grad()
    def examine(self) -> dict[str, float]:
        """Return negative log-likelihoods of the averaged weights on held-out synthetic problems."""
        losses, groups = list[Tensor](), list[Tensor]()
        for i in range(EXAMINED):
            found = answers(self.averaged, sample(HELD_OUT + i, self.settings.tokens, self.device), HELD_OUT + i)
            losses.append(found.loss)
            groups.append(found.groups)
        by_group = torch.stack(groups).nanmean(0).tolist()
        told = {"loss": float(torch.stack(losses).mean()), **dict(zip(GROUPS, by_group, strict=True))}
        return {name: round(value, 4) for name, value in told.items()}

    def save(self, name: str, resumable: bool = True) -> None:
        """Write the weights as `name`, the card, and where `resumable` the state to go on from."""
        averaged = self.averaged.state_dict()
        told = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "shape": self.network.shape.to_dict(),
            "settings": asdict(self.settings),
            "scores": self.scores,
        }
        if resumable:
            names = dict(self.network.named_parameters())
            state = self.optimizer.state
            first = {n: state[p]["exp_avg"] for n, p in names.items() if p in state}
            second = {n: state[p]["exp_avg_sq"] for n, p in names.items() if p in state}
            parts = {"network": self.network.state_dict(), "averaged": averaged, "first": first, "second": second}
            checkpoint.write(self.folder / "state.safetensors", parts, told)
        checkpoint.write(self.folder / f"{name}.safetensors", {"averaged": averaged}, told)
        fresh = self.folder / "card.json.new"
        fresh.write_text(json.dumps(self.card(told), indent=1) + "\n", "utf-8")
        fresh.replace(self.folder / "card.json")

    def card(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return the training card."""
        count = sum(p.numel() for p in self.network.parameters())
        data = "synthetic problems of curves.learned.prior alone; seed a step: seed x 1000003 + step"
        return {"data": data, "parameters": count, "device": str(self.device), "torch": torch.__version__, **told}


def run(training: Training, minutes: float, cooldown: float, report: float = 240.0, save: float = 120.0) -> None:
    """Train for so many minutes, the last `cooldown` of them with a falling rate.

    On a CPU they are minutes of the processor: beside other work a training takes longer, and learns as much.
    """
    clock = time.process_time if training.device.type == "cpu" else time.monotonic
    began = told = saved = clock()
    before, losses, name = training.seconds, list[float](), "weights"
    while (now := clock()) - began < 60 * minutes:
        left = minutes - (now - began) / 60
        if left <= cooldown and name == "weights":
            training.save(name)
            name = "cooled"
        losses.append(training.learn(left / cooldown if left <= cooldown else 1.0))
        if not math.isfinite(losses[-1]):
            losses.pop()
        training.seconds = before + clock() - began
        if now - told > report:
            show(training, losses)
            told, losses = now, []
        if now - saved > save:
            training.save(name, resumable=name == "weights")
            saved = now
    show(training, losses)
    training.save(name, resumable=name == "weights")


def show(training: Training, losses: Sequence[float]) -> None:
    """Examine, and print a line of progress."""
    score = training.examine()
    loss = sum(losses) / max(len(losses), 1)
    training.scores.append(
        {"step": training.step, "seconds": round(training.seconds), "train": round(loss, 4), **score}
    )
    told = "  ".join(f"{name} {value:.3f}" for name, value in score.items())
    minutes = training.seconds / 60
    print(f"{minutes:6.1f} min  step {training.step}  train {loss:.3f}  held out: {told}", flush=True)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description="Train the learned curve forecaster on synthetic problems.")
    parser.add_argument("--minutes", type=float, required=True, help="to train for; of the processor, on a CPU")
    parser.add_argument("--out", type=Path, default=Path("learned-training"), help="folder of checkpoints")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--cooldown", type=float, default=0.0, help="last minutes with a falling learning rate")
    parser.add_argument("--warm", action="store_true", help="without a checkpoint, start from the shipped network")
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    for name, value in asdict(Shape()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    told = vars(parser.parse_args(arguments))
    torch.set_num_threads(told["threads"])
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if told["device"] == "auto" else told["device"]
    settings = Settings(**{name: told[name] for name in asdict(Settings())})
    shape = Shape(**{name: told[name] for name in asdict(Shape())})
    training = Training(told["out"], settings, shape, torch.device(chosen), warm=told["warm"])
    run(training, told["minutes"], min(told["cooldown"], told["minutes"]))


if __name__ == "__main__":
    main()
