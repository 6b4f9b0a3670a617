"""What a job must be like for several workers to train the model of each trial together. Knows cards, no Ray."""

from __future__ import annotations

from collections.abc import Iterator

from automl_gpt_ray.cards import ModelCard
from automl_gpt_ray.errors import Problem, shown
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, IntParameter, Parameter

BATCH = "batch_size"
"""The hyperparameter that the workers of a trial share: it means the batch of all of them together."""


def worker_problems(workers: int, gpu: float, reuse_actors: bool | None, model: ModelCard) -> list[Problem]:
    """Return what stands against `workers` workers in each trial; nothing stands against one.

    Args:
        workers: Of a trial.
        gpu: GPUs of each.
        reuse_actors: As the job says; None where it does not.
        model: Every `batch_size` that it allows must be a multiple of `workers`.
    """
    return list(_problems(workers, gpu, reuse_actors, model)) if workers > 1 else []


def _problems(workers: int, gpu: float, reuse_actors: bool | None, model: ModelCard) -> Iterator[Problem]:
    if gpu not in (0.0, 1.0):
        rule = f"must be 0 or 1 with `workers_per_trial: {workers}`: each worker computes on one GPU of its own"
        yield Problem("resources.gpu", rule, f"{gpu:g}", "write `gpu: 1`, and choose the number of workers instead")
    if reuse_actors:
        rule = f"must not be true with `workers_per_trial: {workers}`: workers end with their trial"
        yield Problem("reuse_actors", rule, "true", "leave it out")
    wrong = _uneven(model.space.parameters.get(BATCH), workers)
    if wrong:
        rule = f"is the batch of all workers together: with `workers_per_trial: {workers}` a multiple of {workers}"
        remedy = f"change the Model Card, or choose a `workers_per_trial` that divides each `{BATCH}`"
        yield Problem(f"model_card: {BATCH}", rule, wrong, remedy)


def _uneven(batch: Parameter | None, workers: int) -> str:
    """Return those values of a parameter that are no multiples of `workers`, shown."""
    if isinstance(batch, ChoiceParameter | ConstantParameter):
        values = batch.choices if isinstance(batch, ChoiceParameter) else [batch.value]
        found = [value for value in values if not isinstance(value, int) or value % workers]
        return shown(found) if found else ""
    if isinstance(batch, IntParameter) and (batch.low % workers or (batch.step % workers and batch.low < batch.high)):
        return f"{batch.low} to {batch.high} in steps of {batch.step}"
    return ""
