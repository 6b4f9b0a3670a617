"""The brief: everything a run is told before it starts, in one value.

Advisors and prompts read it. A run inside somebody's own `tune.Tuner` may have a search space and
nothing else; a run from a job file has all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pydantic import TypeAdapter

from automl_gpt_ray.cards import (
    GROUPS,
    DataCard,
    Group,
    ModelCard,
    Request,
    parse_data_card,
    parse_model_card,
    parse_request,
)
from automl_gpt_ray.metrics import METRICS, Metric
from automl_gpt_ray.parameters import Parameter
from automl_gpt_ray.recollection import Recollection
from automl_gpt_ray.records import Objective
from automl_gpt_ray.space import SearchSpace

_PARAMETER: TypeAdapter[Parameter] = TypeAdapter(Parameter)
_RECOLLECTION: TypeAdapter[Recollection] = TypeAdapter(Recollection)


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
        recollection: What is known of similar data sets; None where nobody looked.
    """

    space: SearchSpace
    objective: Objective
    max_steps: int
    step: str = "step"
    model: ModelCard | None = None
    data: DataCard | None = None
    request: Request = field(default_factory=Request)
    recollection: Recollection | None = None

    @classmethod
    def of(cls, model: ModelCard, data: DataCard, request: Request, max_steps: int | None = None) -> Self:
        """Compose a brief from cards; the request's first metric is optimised, else the Data Card's."""
        return cls(
            space=model.space,
            objective=objective_of(request, data),
            max_steps=model.steps(max_steps),
            step=model.step,
            model=model,
            data=data,
            request=request,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the brief as JSON values, from which `from_dict` makes an equal one."""
        model = self.model
        cards = {"model": model, "data": self.data, "request": self.request}
        dumped = {name: card.model_dump(mode="json", exclude_unset=True) for name, card in cards.items() if card}
        if model:
            dumped["model"] |= {group: _parameters(getattr(model, group)) for group in GROUPS}
        if self.recollection:
            dumped["recollection"] = _RECOLLECTION.dump_python(self.recollection, mode="json")
        return {
            "space": _parameters(self.space.parameters),
            "metric": self.objective.metric,
            "mode": self.objective.mode,
            "max_steps": self.max_steps,
            "step": self.step,
            **dumped,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the brief that `to_dict` wrote.

        Raises:
            InputError: It was not written by `to_dict`.
        """
        model, data, recalled = (values.get(name) for name in ("model", "data", "recollection"))
        return cls(
            space=SearchSpace({name: _PARAMETER.validate_python(p) for name, p in values["space"].items()}),
            objective=Objective(values["metric"], values["mode"]),
            max_steps=values["max_steps"],
            step=values["step"],
            model=parse_model_card(model, "journal") if model else None,
            data=parse_data_card(data, "journal") if data else None,
            request=parse_request(values.get("request", {}), "journal"),
            recollection=_RECOLLECTION.validate_python(recalled) if recalled else None,
        )

    @property
    def metric(self) -> Metric | None:
        """The objective's metric where its name is known; without a Data Card its values may be in any unit.

        Somebody's own training function may well report an accuracy in per cent.
        """
        known = METRICS.get(self.objective.metric)
        return known if known is None or self.data else replace(known, low=-math.inf, high=math.inf)

    @property
    def groups(self) -> dict[Group, dict[str, Parameter]]:
        """The parameters by the group of the Model Card; all are hyperparameters without one."""
        if self.model is None:
            return {"hyperparameters": self.space.parameters}
        return {group: dict(getattr(self.model, group)) for group in GROUPS if getattr(self.model, group)}


def _parameters(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    # What was left unset stays so (a choice of None differs from no default); the type is always told.
    return {n: {**p.model_dump(mode="json", exclude_unset=True), "type": p.type} for n, p in parameters.items()}


def objective_of(request: Request, data: DataCard) -> Objective:
    """Return what is optimised: the request's first metric, else the Data Card's default."""
    first = request.metrics[0] if request.metrics else data.metric
    if isinstance(first, str):
        return Objective(first, METRICS[first].mode)
    return Objective(first.name, first.mode)
