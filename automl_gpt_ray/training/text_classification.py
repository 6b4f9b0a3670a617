"""Text classification and regression: any `AutoModelForSequenceClassification`, by `transformers.Trainer`.

One step is `epochs_per_step` epochs. Hot hyperparameters (learning rate, weight decay, dropout, ...) are
obeyed from the next update on. A checkpoint is an ordinary folder of `transformers`, with its tokenizer and
the scale of its targets.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import TrainingError, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training import fine_tuning, tokenisation, transformer_models
from automl_gpt_ray.training.lesson import Lesson
from automl_gpt_ray.training.optimisation import number
from automl_gpt_ray.training.scores import Floats, reported, scores
from automl_gpt_ray.training.steps import Report, check_objective, read_state
from automl_gpt_ray.training.targets import TargetScale
from automl_gpt_ray.training.task import TrainingTask, by_workers
from automl_gpt_ray.training.texts import Texts, load_texts

KNOWN = fine_tuning.KNOWN | tokenisation.CHOICES | transformer_models.SOURCE
"""Names in a configuration that are the trainer's; others are settings of the model."""

AUTO = AutoModelForSequenceClassification
"""What makes a model of this task."""

_SCORING_BATCH = 128
_TARGETS_FILE = "targets.json"
Tokens = dict[str, Any]


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
    with fine_tuning.quiet():
        found = load_texts(task.data, ("train", "validation"), task.seed)
        fitted = found["train"].joined_with(found["validation"]) if task.refit else found["train"]
        tokenizer = _tokenizer(config, fitted, resume_from)
        described = transformer_models.describe(config, names, _settings(config, task.data, tokenizer))
        limit = tokenisation.length_limit(config, tokenizer, described)
        model = transformer_models.build(AUTO, config, described, task.seed, resume_from)
        scale = _scale_in(resume_from) if resume_from else TargetScale.of(task.data, fitted.labels)
        examples, cut = _examples(tokenizer, replace(fitted, labels=scale.taught(fitted.labels)), limit)
        held, _ = _examples(tokenizer, found["validation"], limit)
    lesson = Lesson(
        model=model,
        examples=examples,
        collate=partial(_batch, tokenizer),
        score=lambda model: scores(
            task.data, found["validation"].labels, scale.told(_predict(model, tokenizer, held, task.data))
        ),
        save=partial(_save, tokenizer, scale),
        loss=partial(_loss, config, task.data),
        bound=names | tokenisation.CHOICES,
        constants={"truncated": cut},
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
    with fine_tuning.quiet():
        model = transformer_models.reload(AUTO, folder)
        tokenizer = tokenisation.reload_tokenizer(folder)
        texts = load_texts(task.data, (split,), task.seed)[split]
        examples, _ = _examples(tokenizer, texts, tokenisation.length_limit(trained, tokenizer, model.config))
        scale = _scale_in(folder)
        with torch.inference_mode():
            return scores(task.data, texts.labels, scale.told(_predict(model, tokenizer, examples, task.data)))


def _save(tokenizer: Any, scale: TargetScale, folder: Path) -> None:
    tokenizer.save_pretrained(folder)
    (folder / _TARGETS_FILE).write_text(json.dumps(asdict(scale)), encoding="utf-8")


def _scale_in(folder: Path) -> TargetScale:
    """Return the scale that a checkpoint was taught on; one from before there were scales has the data's own."""
    path = folder / _TARGETS_FILE
    if not path.exists():
        return TargetScale()
    try:
        return TargetScale(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError("error", f"`{folder}` holds no readable {_TARGETS_FILE}: {shown(str(error))}") from error


def _tokenizer(config: Config, texts: Texts, resume_from: Path | None) -> Any:
    if resume_from:
        return tokenisation.reload_tokenizer(resume_from)
    return tokenisation.tokenizer_for(config, (part for example in texts.texts for part in example))


def _settings(config: Config, card: DataCard, tokenizer: Any) -> dict[str, Any]:
    if card.task == "regression":
        settings: dict[str, Any] = {"num_labels": 1, "problem_type": "regression"}
    else:
        names = card.label_space.names
        settings = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    # A fresh model fits its tokenizer; a pretrained one has its own.
    fresh = {} if config.get("model") else {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return {**settings, **fresh}


def _examples(tokenizer: Any, texts: Texts, limit: int) -> tuple[list[Tokens], float]:
    encoded, cut = tokenisation.encode(tokenizer, texts.texts, limit)
    return [{**tokens, "labels": label} for tokens, label in zip(encoded, texts.labels.tolist(), strict=True)], cut


def _batch(tokenizer: Any, examples: list[Tokens]) -> dict[str, Tensor]:
    labels = torch.tensor([example["labels"] for example in examples])
    tokens = [{name: value for name, value in example.items() if name != "labels"} for example in examples]
    return {**tokenizer.pad(tokens, return_tensors="pt"), "labels": labels}


def _loss(config: Config, card: DataCard, model: Any, batch: dict[str, Any]) -> Tensor:
    logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits
    if card.task == "regression":
        return nn.functional.mse_loss(logits.squeeze(-1).float(), batch["labels"].float())
    smoothing = number(config, "label_smoothing")
    return nn.functional.cross_entropy(logits.float(), batch["labels"], label_smoothing=smoothing)


def _predict(model: Any, tokenizer: Any, examples: Sequence[Tokens], card: DataCard) -> Floats:
    # Batches of texts of about one length are padded least.
    order = sorted(range(len(examples)), key=lambda i: len(examples[i]["input_ids"]))
    parts = []
    for start in range(0, len(order), _SCORING_BATCH):
        batch = _batch(tokenizer, [examples[i] for i in order[start : start + _SCORING_BATCH]])
        inputs = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        parts.append(model(**inputs).logits.float())
    logits = torch.cat(parts)
    found = logits.squeeze(-1) if card.task == "regression" else logits.softmax(dim=1)
    placed: Floats = found.cpu().numpy()[np.argsort(order)]
    return placed
