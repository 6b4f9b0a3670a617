"""The JSON schema of a reply, made from the search space.

Written so that servers with strict structured output accept it: every property is required, no others
are allowed, and a conditional hyperparameter may be null.
"""

from __future__ import annotations

import json
import math
from typing import Any

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, Parameter

MAX_CHOICES = 4000
MAX_GRID = 50


def reply_schema(brief: Brief, wanted: int, steps: list[int]) -> dict[str, Any]:
    """Return the schema of a reply with up to `wanted` proposals and a log at `steps`."""
    groups: dict[str, Any] = {
        group: object_of(
            {name: parameter_schema(p) for name, p in parameters.items() if not isinstance(p, ConstantParameter)}
        )
        for group, parameters in brief.groups.items()
    }
    proposal = object_of({"reason": {"type": "string"}, **groups, "predicted_log": _log(brief, steps)})
    proposals = {"type": "array", "items": proposal, "minItems": 1, "maxItems": wanted}
    return object_of({"proposals": proposals})


def _log(brief: Brief, steps: list[int]) -> dict[str, Any]:
    values = dict.fromkeys(("value", "low", "high"), value_schema(brief))
    point = {"step": {"type": "integer", "enum": steps}, **values}
    return {"type": "array", "items": object_of(point), "minItems": len(steps), "maxItems": len(steps)}


def value_schema(brief: Brief) -> dict[str, Any]:
    """Return the schema of a value of the optimised metric."""
    value: dict[str, Any] = {"type": "number"}
    for key, bound in (("minimum", "low"), ("maximum", "high")):
        limit = getattr(brief.metric, bound, math.inf)
        value |= {key: limit} if math.isfinite(limit) else {}
    return value


def object_of(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def parameter_schema(parameter: Parameter) -> dict[str, Any]:
    """Return the schema of a hyperparameter's values; null where it may not exist."""
    return nullable(parameter) if parameter.when else _domain(parameter)


def nullable(parameter: Parameter) -> dict[str, Any]:
    """Return the schema of a hyperparameter's values or null."""
    return {"anyOf": [_domain(parameter), {"type": "null"}]}


def _domain(parameter: Parameter) -> dict[str, Any]:
    if isinstance(parameter, ChoiceParameter):
        # Choices of pages of text would make a prompt of any length; `replies` checks the value all the same.
        short = len(json.dumps(parameter.choices)) <= MAX_CHOICES
        return {"enum": list(parameter.choices)} if short else {"type": ["string", "number", "boolean", "null"]}
    if isinstance(parameter, ConstantParameter):
        return {"const": parameter.value}
    grid = parameter.grid_size
    if parameter.step not in (None, 1) and grid and grid <= MAX_GRID:
        # A schema's `multipleOf` counts from zero, our grids from `low`: the values themselves say it.
        return {"enum": [parameter.clip(parameter.low + i * (parameter.step or 1)) for i in range(grid)]}
    kind = "number" if isinstance(parameter, FloatParameter) else "integer"
    return {"type": kind, "minimum": parameter.low, "maximum": parameter.high}
