"""The brief: everything a run is told before it starts, in one value.

Advisors and prompts read it. A run inside somebody's own `tune.Tuner` may have a search space and
nothing else; a run from a job file has all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from automl_gpt_ray.cards import GROUPS, DataCard, Group, ModelCard, Request
from automl_gpt_ray.metrics import METRICS, Metric
from automl_gpt_ray.parameters import Parameter
from automl_gpt_ray.records import Objective
from automl_gpt_ray.space import SearchSpace


@dataclass(frozen=True)
class Brief:
    """What is to be tuned.

    Attributes:
        space: The search space, its default included.
        objective: Metric and direction.
        max_steps: Steps of a full training.
        step: What one step is (`epoch`).
        model: The Model Card, where there is one.
        data: The Data Card, where there is one.
        request: Evaluation metrics, constraints and additional requests.
    """

    space: SearchSpace
    objective: Objective
    max_steps: int
    step: str = "step"
    model: ModelCard | None = None
    data: DataCard | None = None
    request: Request = field(default_factory=Request)

    @classmethod
    def of(cls, model: ModelCard, data: DataCard, request: Request, max_steps: int | None = None) -> Self:
        """Compose a brief from cards; the request's first metric is optimised, else the Data Card's."""
        return cls(
            space=model.space,
            objective=objective_of(request, data),
            max_steps=max_steps or model.max_steps,
            step=model.step,
            model=model,
            data=data,
            request=request,
        )

    @property
    def metric(self) -> Metric | None:
        """The objective's metric where its range is known."""
        return METRICS.get(self.objective.metric)

    @property
    def groups(self) -> dict[Group, dict[str, Parameter]]:
        """The parameters by the group of the Model Card; all are hyperparameters without one."""
        if self.model is None:
            return {"hyperparameters": self.space.parameters}
        return {group: dict(getattr(self.model, group)) for group in GROUPS if getattr(self.model, group)}


def objective_of(request: Request, data: DataCard) -> Objective:
    """Return what is optimised: the request's first metric, else the Data Card's default."""
    first = request.metrics[0] if request.metrics else data.metric
    if isinstance(first, str):
        return Objective(first, METRICS[first].mode)
    return Objective(first.name, first.mode)
