"""Image classification by any `AutoModelForImageClassification`, through `transformers.Trainer`.

Vision transformers, residual networks and the like: pretrained or from random weights. Images are held
as bytes and resized, augmented and normalised batch by batch. A checkpoint is an ordinary folder of
`transformers`. The small networks of this package's own are in `image_classification`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification

from automl_gpt_ray.errors import TrainingError
from automl_gpt_ray.records import Config
from automl_gpt_ray.training import fine_tuning, transformer_models
from automl_gpt_ray.training.augmentation import AUGMENTATIONS, NORMALISATIONS, Normalisation, augment, choice
from automl_gpt_ray.training.images import Images, load_images
from automl_gpt_ray.training.lesson import Lesson
from automl_gpt_ray.training.optimisation import bounded, number
from automl_gpt_ray.training.scores import Floats, reported, scores
from automl_gpt_ray.training.steps import Report, check_objective, read_state
from automl_gpt_ray.training.task import TrainingTask, by_workers

CHOICES = frozenset({"resize", "normalisation", "augmentation"})
"""Names in a configuration that decide what is done to the images."""

KNOWN = fine_tuning.KNOWN | CHOICES | transformer_models.SOURCE
"""Names in a configuration that are the trainer's; others are settings of the model."""

AUTO = AutoModelForImageClassification
"""What makes a model of this task."""

_NORMALISATION_FILE = "normalisation.json"
_SCORING_BATCH = 128


@by_workers
def train(config: dict[str, Any], task: TrainingTask) -> None:
    """Train inside a Ray Tune trial: a function trainable.

    Args:
        config: Names in `KNOWN`, and settings of the model's configuration.
        task: What all trials share.

    Raises:
        TrainingError: The objective became NaN or memory ran out.
        DataError: The data is not what its card says.
        SpaceError: `config` holds a name or value that is not known.
    """
    from automl_gpt_ray.training import loop  # so that scoring a checkpoint needs no Ray

    loop.learn(learn, config, task)


def learn(config: Config, task: TrainingTask, report: Report, resume_from: Path | None = None) -> None:
    """Train, reporting each step; errors as in `train`.

    Args:
        config: As in `train`; hot values are read anew at every update.
        task: What all trials share.
        report: Called with the metrics of each step and the folder of its checkpoint.
        resume_from: Folder of a checkpoint to go on from, with the same results as if the training
            had not been interrupted.
    """
    names = transformer_models.architecture_names(config, KNOWN)
    check_objective(task.objective, reported(task.data))
    found = load_images(task.data, ("train", "validation"), task.seed)
    fitted = found["train"].joined_with(found["validation"]) if task.refit else found["train"]
    normalisation = Normalisation.fit(fitted.pixels, choice(config, "normalisation", NORMALISATIONS))
    with fine_tuning.quiet():
        described = transformer_models.describe(config, names, _settings(config, task, fitted))
        model = transformer_models.build(AUTO, config, described, task.seed, resume_from)
    held = found["validation"]
    lesson = Lesson(
        model=model,
        examples=range(len(fitted.labels)),
        collate=partial(_batch, fitted, config, normalisation, described),
        score=lambda model: scores(task.data, held.labels, _predict(model, held, config, normalisation)),
        save=partial(_save, normalisation),
        loss=partial(_loss, config),
        bound=names | {"resize", "normalisation", "model", "model_type"},
    )
    fine_tuning.teach(lesson, config, task, report, resume_from)


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
    trained = read_state(folder)["config"]
    torch.set_num_threads(task.threads)
    with fine_tuning.quiet(), torch.inference_mode():
        model = transformer_models.reload(AUTO, folder)
        images = load_images(task.data, (split,), task.seed)[split]
        return scores(task.data, images.labels, _predict(model, images, trained, _normalisation(folder)))


def _settings(config: Config, task: TrainingTask, images: Images) -> dict[str, Any]:
    names = task.data.label_space.names
    settings: dict[str, Any] = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
    }
    if config.get("model"):
        return settings  # its channels and size are those it was trained with
    height, width, channels = images.pixels.shape[1:]
    side = _side(config)
    known = transformer_models.settings_of(str(config.get("model_type", "")))
    size = (side, side) if side else (height, width)
    fitting = {"image_size": size if size[0] != size[1] else size[0], "num_channels": channels}
    return {**settings, **{name: value for name, value in fitting.items() if name in known}}


def _batch(
    images: Images, config: Config, normalisation: Normalisation, described: Any, rows: list[int]
) -> dict[str, Tensor]:
    pixels = _pixels(images, rows)
    # The global generator: its state is in the checkpoint.
    pixels = augment(pixels, choice(config, "augmentation", AUGMENTATIONS), torch.default_generator)
    inputs = _inputs(pixels, config, normalisation, described)
    return {"pixel_values": inputs, "labels": torch.from_numpy(images.labels[rows])}


def _inputs(pixels: Tensor, config: Config, normalisation: Normalisation, described: Any) -> Tensor:
    """Return float images of shape (n, the model's channels, the model's size)."""
    inputs = normalisation.apply(pixels)
    side = _side(config) or (_own_side(described) if config.get("model") else 0)
    if side and inputs.shape[2:] != (side, side):
        inputs = nn.functional.interpolate(inputs, (side, side), mode="bilinear", antialias=True)
    channels = getattr(described, "num_channels", inputs.shape[1])
    return inputs.expand(-1, channels, -1, -1) if inputs.shape[1] == 1 else inputs


def _own_side(described: Any) -> int:
    size = getattr(described, "image_size", None)
    return int(size) if isinstance(size, int) else 224  # of convolutional networks, which state none


def _side(config: Config) -> int:
    return int(bounded(config, "resize", 0, 0))


def _pixels(images: Images, rows: list[int] | slice) -> Tensor:
    return torch.from_numpy(images.pixels[rows].transpose(0, 3, 1, 2).copy())


def _loss(config: Config, model: Any, batch: dict[str, Any]) -> Tensor:
    logits = model(pixel_values=batch["pixel_values"]).logits
    smoothing = number(config, "label_smoothing")
    return nn.functional.cross_entropy(logits.float(), batch["labels"], label_smoothing=smoothing)


def _predict(model: Any, images: Images, config: Config, normalisation: Normalisation) -> Floats:
    parts = []
    for start in range(0, len(images.labels), _SCORING_BATCH):
        pixels = _pixels(images, slice(start, start + _SCORING_BATCH)).to(model.device)
        parts.append(model(pixel_values=_inputs(pixels, config, normalisation, model.config)).logits.float())
    found: Floats = torch.cat(parts).softmax(dim=1).cpu().numpy()
    return found


def _save(normalisation: Normalisation, folder: Path) -> None:
    (folder / _NORMALISATION_FILE).write_text(json.dumps(asdict(normalisation)), encoding="utf-8")


def _normalisation(folder: Path) -> Normalisation:
    try:
        return Normalisation(**json.loads((folder / _NORMALISATION_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError("error", f"`{folder}` holds no readable {_NORMALISATION_FILE}: {error}") from error
