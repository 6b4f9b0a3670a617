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
        group: _object({name: _parameter(p) for name, p in parameters.items() if not isinstance(p, ConstantParameter)})
        for group, parameters in brief.groups.items()
    }
    proposal = _object({"reason": {"type": "string"}, **groups, "predicted_log": _log(brief, steps)})
    proposals = {"type": "array", "items": proposal, "minItems": 1, "maxItems": wanted}
    return _object({"proposals": proposals})


def _log(brief: Brief, steps: list[int]) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "number"}
    for key, bound in (("minimum", "low"), ("maximum", "high")):
        limit = getattr(brief.metric, bound, math.inf)
        value |= {key: limit} if math.isfinite(limit) else {}
    point = {"step": {"type": "integer", "enum": steps}, **dict.fromkeys(("value", "low", "high"), value)}
    return {"type": "array", "items": _object(point), "minItems": len(steps), "maxItems": len(steps)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = _domain(parameter)
    return {"anyOf": [schema, {"type": "null"}]} if parameter.when else schema


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
