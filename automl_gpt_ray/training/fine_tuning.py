"""Fine-tuning: a model of `transformers` trained by its `Trainer`, whatever the task.

A task's trainer fills in a `Lesson` (model, examples, how a batch is made of them, how the model is
scored) and calls `teach`. One step is `epochs_per_step` passes over the examples; after each, the model
is scored, saved and reported. Several workers (`ranks`) share each batch. Knows no data and nothing of Ray.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from pickle import UnpicklingError  # only to catch what torch.load raises; nothing here pickles
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from torch import nn
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from automl_gpt_ray.errors import TrainingError, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training import ranks
from automl_gpt_ray.training.costs import watched, weights_bytes
from automl_gpt_ray.training.lesson import Lesson, Scores
from automl_gpt_ray.training.network_defaults import DEFAULTS
from automl_gpt_ray.training.optimisation import bounded, number, one_of
from automl_gpt_ray.training.reporting import ReportCallback
from automl_gpt_ray.training.steps import Report, check_same, memory_guard, read_state
from automl_gpt_ray.training.task import TrainingTask

KNOWN = frozenset(
    {
        *DEFAULTS, "gradient_clip", "gradient_accumulation", "epochs_per_step", "backbone_learning_rate",
        "frozen_backbone",
    }
)  # fmt: skip
"""Names in a configuration that decide how a model is trained, whatever the task."""

BOUND = frozenset({"optimizer", "batch_size", "gradient_accumulation", "epochs_per_step", "frozen_backbone"})
"""Those of `KNOWN` that a checkpoint is bound to: with another value its optimiser or its place is lost."""


def teach(lesson: Lesson, config: Config, task: TrainingTask, report: Report, resume_from: Path | None) -> None:
    """Train for the steps that are left, reporting each.

    Args:
        lesson: What is to be learnt; its model is trained in place.
        config: Names in `KNOWN`; hot ones are read anew at every update.
        task: What all trials share.
        report: Called with the metrics of each step and the folder of its checkpoint.
        resume_from: Folder of a checkpoint to go on from, as if the training had not been interrupted.

    Raises:
        TrainingError: The objective became NaN, memory ran out, or the checkpoint does not fit.
    """
    state: dict[str, Any] = (
        read_state(resume_from) if resume_from else {"step": 0, "seconds": 0.0, "config": dict(config)}
    )
    check_same(config, state["config"], BOUND | lesson.bound)
    if int(state["step"]) >= task.max_steps:
        return
    with TemporaryDirectory(prefix="training-") as folder, memory_guard(), quiet():
        torch.set_num_threads(task.threads)
        callback = ReportCallback(lesson, config, task, report, state)
        trainer = _Trainer(lesson, config, _arguments(lesson, config, task, folder), callback)
        if resume_from:
            _check_complete(resume_from)
        trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)


def updates_per_step(config: Config, examples: int) -> int:
    """Return how many updates of the weights one step is."""
    batch = int(number(config, "batch_size"))
    batches = math.ceil(examples / batch) - _leaves_one(config, examples)
    updates = math.ceil(batches / _accumulation(config))
    return max(1, math.ceil(bounded(config, "epochs_per_step", 1.0, 1e-6) * updates))


def precision() -> dict[str, bool]:
    """Return `TrainingArguments`' choice of mixed precision: bfloat16 on GPUs that have it, float16 on others."""
    gpu = torch.cuda.is_available()
    bfloat = gpu and torch.cuda.is_bf16_supported()
    return {"bf16": bfloat, "fp16": gpu and not bfloat}


def half_on_gpu(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which a GPU computes in half precision, as it does in training; nothing on a CPU."""
    if device.type != "cuda":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision()["bf16"] else torch.float16)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and advice of `transformers` out of a trial's output; warnings of ours stay."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in ("accelerate", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)


class _Trainer(transformers.Trainer):  # type: ignore[misc]
    """`transformers.Trainer` with the lesson's loss and scores, and an optimiser that can change as it goes."""

    optimizer: Any
    control: Any

    def __init__(self, lesson: Lesson, config: Config, arguments: Any, callback: ReportCallback) -> None:
        super().__init__(
            model=lesson.model,
            args=arguments,
            train_dataset=_Examples(lesson.examples),
            eval_dataset=_Examples([]),  # asked for, never read: the lesson scores
            data_collator=lesson.collate,
            callbacks=[callback],
        )
        self.remove_callback(transformers.PrinterCallback)
        self._lesson, self._config, self._callback = lesson, config, callback
        # Losses of batches are means already; nothing is to be divided by the items of a batch.
        self.model_accepts_loss_kwargs = False

    def create_optimizer(self, model: Any = None) -> Any:
        if self.optimizer is None:
            self.optimizer = optimizer_for(self.model, self._config)
        return self.optimizer

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        if self._lesson.loss is not None:
            return self._lesson.loss(model, inputs)
        with _finite_boxes():
            outputs = model(**inputs)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def _load_from_checkpoint(self, *_: Any, **__: Any) -> None:
        """Do nothing: the lesson's model has the weights already.

        `Trainer` would read the file as it is, and silently leave out every weight that `transformers`
        renames when it saves (the attention and feed-forward layers of DETR, for one).
        """

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _reading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        with _reading(checkpoint):
            super()._load_scaler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        # Its file holds what the first worker drew; several workers draw anew at each step.
        with _reading(checkpoint):
            super()._load_rng_state(checkpoint)
        self._callback.draw()

    def evaluate(self, *_: Any, **__: Any) -> Scores:
        scores = self._scores() if ranks.first() else {}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        return scores

    def _scores(self) -> Scores:
        self.model.eval()
        with torch.inference_mode(), watched(self.model) as clock:
            scores = self._lesson.score(self.model)
        self._callback.costs = clock.costs(weights_bytes(self.model))
        return scores


@contextmanager
def _reading(checkpoint: str | Path | None) -> Iterator[None]:
    """Turn what the files of a damaged checkpoint raise as they are read into an error that names it."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, EOFError, UnpicklingError) as error:
        got = shown(str(error) or type(error).__name__)
        raise TrainingError("error", f"`{checkpoint}` cannot be gone on from: {got}") from error


def _check_complete(checkpoint: Path) -> None:
    """Raise TrainingError where what `Trainer` goes on from is damaged, or lacks what it would silently do without."""
    for name in (TRAINER_STATE_NAME, OPTIMIZER_NAME, SCHEDULER_NAME):
        if not (checkpoint / name).is_file():
            raise TrainingError("error", f"`{checkpoint}` cannot be gone on from: it has no {name}")
    with _reading(checkpoint):
        transformers.TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))


@contextmanager
def _finite_boxes() -> Iterator[None]:
    """Turn what detectors' losses say of boxes that became NaN into the error of a training that diverged."""
    try:
        yield
    except ValueError as error:
        # `boxes1` are the predicted ones; of many, the message shows a few, and NaN may not be among them.
        if not re.search(r"\bnan\b|boxes1 must be", str(error)):
            raise
        raise TrainingError("nan", "the predicted boxes became NaN") from error


class _Examples(torch.utils.data.Dataset[Any]):
    def __init__(self, examples: Sequence[Any]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> Any:
        return self.examples[i]


def optimizer_for(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return the optimiser that `config` names; biases and normalisations never decay.

    Parameters of a backbone are a group of their own, whose learning rate is `backbone_learning_rate`.
    """
    frozen = bool(config.get("frozen_backbone", False))
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        backbone = in_backbone(name, model)
        parameter.requires_grad_(parameter.requires_grad and not (frozen and backbone))
        if parameter.requires_grad:
            groups.setdefault((backbone, parameter.ndim > 1), []).append(parameter)
    rate = number(config, "learning_rate")
    # `decays` and `backbone` are read by the callback as it changes rates and decay.
    listed = [{"params": p, "backbone": b, "decays": d} for (b, d), p in groups.items()]
    if one_of(config, "optimizer", ("adamw", "sgd")) == "adamw":
        return torch.optim.AdamW(listed, lr=rate)
    momentum = number(config, "momentum")
    return torch.optim.SGD(listed, lr=rate, momentum=momentum, nesterov=momentum > 0)


def in_backbone(name: str, model: nn.Module) -> bool:
    """Return whether a parameter belongs to the backbone: a detector's, else all but a classifier's head."""
    if any(".backbone." in f".{n}" for n, _ in model.named_parameters()):
        return ".backbone." in f".{name}"
    prefix = getattr(model, "base_model_prefix", "")
    return bool(prefix) and name.startswith(f"{prefix}.")


def _arguments(lesson: Lesson, config: Config, task: TrainingTask, folder: str) -> Any:
    updates = updates_per_step(config, len(lesson.examples))
    gpu = torch.cuda.is_available()
    return transformers.TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=ranks.share(int(number(config, "batch_size"))),
        gradient_accumulation_steps=_accumulation(config),
        max_steps=updates * task.max_steps,
        learning_rate=number(config, "learning_rate"),
        max_grad_norm=bounded(config, "gradient_clip", 1.0, 0.0),
        lr_scheduler_type="constant",  # the callback sets the rate before every update
        eval_strategy="steps",
        eval_steps=updates,
        save_strategy="steps",
        save_steps=updates,
        save_total_limit=1,
        logging_strategy="steps",
        logging_steps=updates,
        logging_nan_inf_filter=False,  # a loss that became NaN is to be seen
        **precision(),
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        dataloader_drop_last=_leaves_one(config, len(lesson.examples)),
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        seed=task.seed,
        data_seed=task.seed,
    )


def _leaves_one(config: Config, examples: int) -> bool:
    """Return whether an epoch's last batch is of one example: it is left out, as it has nothing to normalise by."""
    batch = int(number(config, "batch_size"))
    return 1 < batch < examples and examples % batch == 1


def _accumulation(config: Config) -> int:
    return int(bounded(config, "gradient_accumulation", 1, 1))
