"""The callback between `transformers.Trainer` and a run: hot hyperparameters in, steps out.

Before every update the learning rate, weight decay and momentum are set as the configuration has them
*now*; after every evaluation the metrics and the checkpoint are reported. Whatever may change in a
running trial changes in `ReportCallback.obey`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from automl_gpt_ray.records import Config
from automl_gpt_ray.training import ranks
from automl_gpt_ray.training.lesson import Lesson
from automl_gpt_ray.training.optimisation import bounded, learning_rate, number
from automl_gpt_ray.training.steps import Report, check_finite, write_state
from automl_gpt_ray.training.task import TrainingTask
from automl_gpt_ray.training.transformer_models import set_dropout


class ReportCallback(TrainerCallback):  # type: ignore[misc]
    """Reports each evaluation as a step with its own number, training seconds and checkpoint.

    Args:
        lesson: What is learnt; `save` completes a checkpoint.
        config: Of the trial; read anew at every update.
        task: What all trials share.
        report: Called with the metrics and the folder of the checkpoint; the training waits for it. Every worker
            calls it, and only the first has a checkpoint and scores.
        state: `step` and `seconds` reached so far.

    Attributes:
        costs: What the model takes, as last measured; reported with the metrics.
    """

    def __init__(
        self, lesson: Lesson, config: Config, task: TrainingTask, report: Report, state: Mapping[str, Any]
    ) -> None:
        self._lesson, self._config, self._task, self._report = lesson, config, task, report
        self._step, self._seconds = int(state["step"]), float(state["seconds"])
        self._began = 0.0
        self._metrics: dict[str, float] = {}
        self._loss: float | None = None
        self.costs: dict[str, float] = {}

    def obey(self, config: Config, optimizer: Any, progress: float) -> None:
        """Set what a running trial may change.

        Args:
            config: The hyperparameters as they are now.
            optimizer: Changed in place.
            progress: Share of the full training done, in [0, 1).
        """
        rate, decay = learning_rate(config, progress), number(config, "weight_decay")
        peak = number(config, "learning_rate")
        backbone = bounded(config, "backbone_learning_rate", peak, 0.0)
        for group in optimizer.param_groups:
            group["lr"] = rate * (backbone / peak if group["backbone"] and peak > 0 else 1.0)
            group["weight_decay"] = decay if group["decays"] else 0.0
            if "momentum" in group:
                group["momentum"] = number(config, "momentum")
                group["nesterov"] = group["momentum"] > 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._begin()

    def on_step_begin(self, args: Any, state: Any, control: Any, **found: Any) -> None:
        """Obey the configuration as it is now."""
        self.obey(self._config, found["optimizer"], state.global_step / state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Keep the mean training loss since the last evaluation."""
        self._loss = (logs or {}).get("loss", self._loss)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, float] | None = None, **_: Any
    ) -> None:
        """Keep the metrics until the checkpoint is written, and stop the clock."""
        self._step += 1
        self._seconds += time.perf_counter() - self._began
        train = {} if self._loss is None else {"train_loss": float(self._loss)}
        self._metrics = {**train, **self._lesson.constants, **(metrics or {})}

    def on_save(self, args: Any, state: Any, control: Any, **found: Any) -> None:
        """Report the step, then go on as the configuration has it by then."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if ranks.first():
            self._save(folder)
        metrics = {**self._metrics, "step": self._step, "seconds": self._seconds}
        self._report({**metrics, **self.costs}, folder)
        if ranks.first():  # who alone has scored
            check_finite(metrics, self._task.objective)
        set_dropout(found["model"], self._config)
        self._begin()

    def draw(self) -> None:
        """Begin the random numbers of the coming step."""
        ranks.draw_apart(self._task.seed, self._step + 1)

    def _begin(self) -> None:
        self._lesson.at_step(self._step + 1)
        self.draw()
        self._began = time.perf_counter()

    def _save(self, folder: Path) -> None:
        kept = {"step": self._step, "seconds": self._seconds, "config": dict(self._config)}
        write_state(folder, kept)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody needs
        self._lesson.save(folder)
