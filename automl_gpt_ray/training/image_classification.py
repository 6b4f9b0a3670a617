"""Neural networks on images, by PyTorch.

One step is one epoch. Hot hyperparameters (learning rate, weight decay, dropout, ...) are read from
`config` at every step, so a change between two reports takes effect at the next step. Knows images,
networks and scores; nothing of Ray.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError  # only to catch what torch.load raises; nothing here pickles
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from automl_gpt_ray.errors import TrainingError
from automl_gpt_ray.records import Config
from automl_gpt_ray.training.augmentation import AUGMENTATIONS, NORMALISATIONS, Normalisation, augment, choice
from automl_gpt_ray.training.costs import watched, weights_bytes
from automl_gpt_ray.training.images import Images, load_images
from automl_gpt_ray.training.network_defaults import DEFAULTS
from automl_gpt_ray.training.networks import ARCHITECTURE, build, set_dropout
from automl_gpt_ray.training.optimisation import adjust, number, optimizer_for
from automl_gpt_ray.training.scores import Floats, reported, scores
from automl_gpt_ray.training.steps import (
    Step,
    check_config,
    check_objective,
    check_same,
    guarded,
    read_state,
    write_state,
)
from automl_gpt_ray.training.task import TrainingTask

_WEIGHTS_FILE = "weights.pt"
_SCORING_BATCH = 512
_KNOWN = frozenset({*ARCHITECTURE, *DEFAULTS, "dropout", "normalisation", "augmentation"})
_BOUND = frozenset({*ARCHITECTURE, "normalisation", "optimizer"})


@dataclass
class _Learner:
    """What changes as a network is trained. `scaler` only scales losses where half precision needs it."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    normalisation: Normalisation
    device: torch.device


def train(config: dict[str, Any], task: TrainingTask) -> None:
    """Train inside a Ray Tune trial: a function trainable.

    Args:
        config: Names in `networks.ARCHITECTURE`, `network_defaults.DEFAULTS`, `dropout`,
            `normalisation` and `augmentation`; what is absent has the default given there.
        task: What all trials share.

    Raises:
        TrainingError: The objective became NaN or memory ran out.
        DataError: The data is not what its card says.
        SpaceError: `config` holds a name or value that is not known.
    """
    from automl_gpt_ray.training import loop  # so that scoring a checkpoint needs no Ray

    loop.run(fit, config, task)


def fit(config: Config, task: TrainingTask, resume_from: Path | None = None) -> Iterator[Step]:
    """Yield the steps of a training; errors as in `train`.

    Args:
        config: As in `train`; read anew at each step.
        task: What all trials share.
        resume_from: Folder of a checkpoint to go on from, with the same results as if the training
            had not been interrupted.
    """
    return guarded(_fit(config, task, resume_from), task.objective)


def evaluate(config: Config, task: TrainingTask, checkpoint_dir: str | Path, split: str = "test") -> dict[str, float]:
    """Return every metric of a checkpoint on one split, by bare name.

    Args:
        config: Not needed, the checkpoint knows its own; for symmetry with other trainers.
        task: As the checkpoint was trained with: the seed decides the hold-outs.
        checkpoint_dir: Folder of the checkpoint.
        split: `test`, `validation` or `train`.

    Raises:
        DataError: The data set has no such split.
        TrainingError: The folder holds no checkpoint of this trainer.
    """
    folder = Path(checkpoint_dir)
    state = read_state(folder)
    torch.set_num_threads(task.threads)
    images = load_images(task.data, (split,), task.seed)[split]
    learner = _learner(state["config"], task, images, Normalisation(**state["normalisation"]))
    learner.model.load_state_dict(_weights(folder, learner.device)["model"])
    return scores(task.data, images.labels, _probabilities(learner, _pixels(images, learner.device)))


def _fit(config: Config, task: TrainingTask, resume_from: Path | None) -> Iterator[Step]:
    check_config(config, _KNOWN)
    check_objective(task.objective, reported(task.data))
    torch.set_num_threads(task.threads)
    state: dict[str, Any] = (
        read_state(resume_from) if resume_from else {"step": 0, "seconds": 0.0, "config": dict(config)}
    )
    check_same(config, state["config"], _BOUND)
    images = load_images(task.data, ("train", "validation"), task.seed)
    if task.refit:
        images["train"] = images["train"].joined_with(images["validation"])
    fitted = Normalisation.fit(images["train"].pixels, choice(config, "normalisation", NORMALISATIONS))
    learner = _learner(config, task, images["train"], fitted)
    if resume_from:
        _load(learner, resume_from)
    seconds = float(state["seconds"])
    for step in range(int(state["step"]) + 1, task.max_steps + 1):
        began = time.perf_counter()
        metrics = _epoch(learner, images["train"], config, task, step)
        pixels = _pixels(images["validation"], learner.device)
        with watched(learner.model) as clock:
            probabilities = _probabilities(learner, pixels)
        metrics.update(scores(task.data, images["validation"].labels, probabilities))
        seconds += time.perf_counter() - began
        kept = {"step": step, "seconds": seconds, "config": dict(config), "normalisation": asdict(fitted)}
        costs = clock.costs(weights_bytes(learner.model))
        yield Step({**metrics, "step": step, "seconds": seconds}, partial(_save, learner, kept), costs)


def _learner(config: Config, task: TrainingTask, images: Images, fitted: Normalisation) -> _Learner:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(task.seed)
    height, width, channels = images.pixels.shape[1:]
    model = build(config, (height, width, channels), len(task.data.label_space.classes)).to(device)
    scaler = torch.amp.GradScaler(device.type, enabled=_half_precision(device) is torch.float16)
    return _Learner(model, optimizer_for(model, config), scaler, fitted, device)


def _epoch(learner: _Learner, images: Images, config: Config, task: TrainingTask, step: int) -> dict[str, float]:
    """Train over all images once, and return the training metrics gathered on the way."""
    # All that is random in an epoch is drawn from seeds made of the run's seed and the step: a
    # restored training draws the same without any generator's state in the checkpoint.
    generator = torch.Generator().manual_seed(_step_seed(task.seed, step))
    torch.manual_seed(_step_seed(task.seed, -step))
    set_dropout(learner.model, config)
    learner.model.train()
    pixels, labels = _pixels(images, learner.device), torch.from_numpy(images.labels).to(learner.device)
    batches = _batches(len(labels), int(number(config, "batch_size")), generator)
    outputs: list[Tensor] = []
    losses: list[Tensor] = []
    for position, rows in enumerate(batches):
        adjust(learner.optimizer, config, (step - 1 + position / len(batches)) / task.max_steps)
        inputs = augment(pixels[rows], choice(config, "augmentation", AUGMENTATIONS), generator)
        loss, logits = _update(learner, inputs, labels[rows], number(config, "label_smoothing"))
        losses.append(loss * len(rows))
        outputs.append(logits)
    found = scores(task.data, images.labels[torch.cat(batches).numpy()], _softmax(outputs))
    named = {f"train_{name}": found[name] for name in {task.objective.metric, "accuracy", "log_loss"}}
    return {**named, "train_loss": float(torch.stack(losses).sum()) / len(labels)}


def _update(learner: _Learner, inputs: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    with _autocast(learner.device):
        logits = learner.model(learner.normalisation.apply(inputs))
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    learner.optimizer.zero_grad(set_to_none=True)
    learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    return loss.detach(), logits.detach().float()


def _probabilities(learner: _Learner, pixels: Tensor) -> Floats:
    learner.model.eval()
    with torch.inference_mode(), _autocast(learner.device):
        parts = torch.split(pixels, _SCORING_BATCH)
        return _softmax([learner.model(learner.normalisation.apply(part)).float() for part in parts])


def _softmax(logits: list[Tensor]) -> Floats:
    found: Floats = torch.cat(logits).softmax(dim=1).cpu().numpy()
    return found


def _batches(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Return shuffled row numbers in batches; a last batch of one joins the one before it."""
    batches = list(torch.split(torch.randperm(count, generator=generator), size))
    # Batch normalisation of one image can be undefined.
    return [*batches[:-2], torch.cat(batches[-2:])] if len(batches) > 1 and len(batches[-1]) == 1 else batches


def _pixels(images: Images, device: torch.device) -> Tensor:
    """Return bytes of shape (n, channels, height, width); a quarter of the memory of floats."""
    return torch.from_numpy(np.ascontiguousarray(images.pixels.transpose(0, 3, 1, 2))).to(device)


def _half_precision(device: torch.device) -> torch.dtype | None:
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _autocast(device: torch.device) -> AbstractContextManager[Any]:
    half = _half_precision(device)
    return torch.autocast(device.type, dtype=half) if half else nullcontext()


def _save(learner: _Learner, state: Mapping[str, Any], folder: Path) -> None:
    parts: dict[str, Any] = {"model": learner.model, "optimizer": learner.optimizer, "scaler": learner.scaler}
    torch.save({name: part.state_dict() for name, part in parts.items()}, folder / _WEIGHTS_FILE)
    write_state(folder, state)


def _load(learner: _Learner, folder: Path) -> None:
    saved = _weights(folder, learner.device)
    learner.model.load_state_dict(saved["model"])
    learner.optimizer.load_state_dict(saved["optimizer"])
    learner.scaler.load_state_dict(saved["scaler"])


def _weights(folder: Path, device: torch.device) -> dict[str, Any]:
    try:
        # weights_only: tensors and plain containers, never code.
        saved: dict[str, Any] = torch.load(folder / _WEIGHTS_FILE, map_location=device, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        message = f"`{folder / _WEIGHTS_FILE}` holds no readable weights ({type(error).__name__})"
        raise TrainingError("error", message) from error
    return saved


def _step_seed(seed: int, step: int) -> int:
    sign = 0 if step > 0 else 1
    return int(np.random.default_rng([seed, abs(step), sign]).integers(2**31 - 1))
