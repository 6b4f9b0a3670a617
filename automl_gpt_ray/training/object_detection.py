"""Object detection by any `AutoModelForObjectDetection` (DETR, RT-DETR, YOLOS), through `transformers.Trainer`.

Data is COCO's instances JSON; the score is COCO's mean average precision. One step is `epochs_per_step`
epochs. A checkpoint is an ordinary folder of `transformers`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForObjectDetection
from transformers.loss import loss_for_object_detection

from automl_gpt_ray.records import Config
from automl_gpt_ray.training import average_precision as ap
from automl_gpt_ray.training import fine_tuning, pictures, transformer_models
from automl_gpt_ray.training.lesson import Lesson
from automl_gpt_ray.training.pictures import Pictures
from automl_gpt_ray.training.scenes import Scene, load_scenes
from automl_gpt_ray.training.steps import Report, check_objective, read_state
from automl_gpt_ray.training.task import TrainingTask, by_workers

KNOWN = fine_tuning.KNOWN | pictures.CHOICES | transformer_models.SOURCE
"""Names in a configuration that are the trainer's; others are settings of the model."""

AUTO = AutoModelForObjectDetection
"""What makes a model of this task."""

_SCORING_BATCH = 8
_MOST = 100  # detections a picture: as many as COCO counts


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
    check_objective(task.objective, ap.METRICS)
    found = load_scenes(task.data, ("train", "validation"), task.seed)
    fitted = [*found["train"], *found["validation"]] if task.refit else found["train"]
    with fine_tuning.quiet():
        described = transformer_models.describe(config, names, _settings(config, task))
        model = transformer_models.build(AUTO, config, described, task.seed, resume_from)
    seen = Pictures(config, masked=_takes_mask(model))
    lesson = Lesson(
        model=model,
        examples=fitted,
        collate=lambda scenes: seen.batch(scenes, training=True),
        score=lambda model: _scores(model, found["validation"], seen),
        bound=names | {"resize", "keep_aspect", "normalisation", "model", "model_type"},
    )
    with boxes_counted_once():
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
        scenes = load_scenes(task.data, (split,), task.seed)[split]
        return _scores(model, scenes, Pictures(trained, masked=_takes_mask(model)))


@contextmanager
def boxes_counted_once() -> Iterator[None]:
    """Let DETR's box losses be means over the boxes of all workers, as they are over those of one.

    transformers 5 takes the mean of the workers' numbers of boxes, and divides it by the number of workers again: its
    box losses would weigh as many times more as there are workers.
    """
    reduce = loss_for_object_detection.reduce
    loss_for_object_detection.reduce = partial(reduce, reduction="sum")
    try:
        yield
    finally:
        loss_for_object_detection.reduce = reduce


def detect(model: Any, scenes: Sequence[Scene], seen: Pictures) -> list[ap.Detections]:
    """Return what a model in evaluation mode finds in each scene, at most 100 boxes each."""
    found = []
    for start in range(0, len(scenes), _SCORING_BATCH):
        part = scenes[start : start + _SCORING_BATCH]
        batch = seen.batch(part, training=False)
        inputs = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        outputs = model(**inputs)
        logits, boxes = outputs.logits.float().cpu(), outputs.pred_boxes.float().cpu()
        for i, scene in enumerate(part):
            found.append(_detections(logits[i], boxes[i], model.config.num_labels, seen.frame(scene, batch)))
    return found


def _scores(model: Any, scenes: Sequence[Scene], seen: Pictures) -> dict[str, float]:
    return ap.average_precision(scenes, detect(model, scenes, seen))


def _detections(logits: Any, boxes: Any, classes: int, frame: tuple[float, float]) -> ap.Detections:
    """Return the best boxes of one picture.

    Models with one logit more than there are classes say "nothing" by it and give each query one class
    (DETR, YOLOS); the others judge every class alone (RT-DETR, Deformable DETR).
    """
    if logits.shape[-1] == classes + 1:
        scores, labels = logits.softmax(dim=-1)[:, :-1].max(dim=-1)
        queries = torch.arange(len(scores))
    else:
        scores, places = logits.sigmoid().flatten().topk(min(_MOST, logits.numel()))
        queries, labels = places // logits.shape[-1], places % logits.shape[-1]
    order = scores.argsort(descending=True)[:_MOST]
    centre_x, centre_y, width, height = boxes[queries[order]].unbind(dim=-1)
    corners = torch.stack([centre_x - width / 2, centre_y - height / 2, width, height], dim=-1)
    pixels = corners * torch.tensor([*frame, *frame])
    return ap.Detections(pixels.numpy(), labels[order].numpy(), scores[order].numpy())


def _settings(config: Config, task: TrainingTask) -> dict[str, Any]:
    names = task.data.label_space.names
    settings: dict[str, Any] = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
    }
    # YOLOS lays its position embeddings out for one size.
    if config.get("model_type") == "yolos":
        side = int(config.get("resize") or pictures.DEFAULT_SIDE)
        settings["image_size"] = [side, side]
    return settings


def _takes_mask(model: Any) -> bool:
    return "pixel_mask" in inspect.signature(model.forward).parameters
