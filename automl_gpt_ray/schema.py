"""The job file and the cards as JSON schemas, with what the package's own documentation says of each field.

For editors: in a YAML file `# yaml-language-server: $schema=job.schema.json` completes and checks as you write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from automl_gpt_ray.cards import DataCard, ModelCard
from automl_gpt_ray.config import Job

MODELS: Mapping[str, type[BaseModel]] = {"job": Job, "data-card": DataCard, "model-card": ModelCard}
SHORT_FORMS = {"experience": {"anyOf": [{"type": "string"}, {"const": False}]}}
"""Fields of a job that may be written shorter than as a mapping."""
OPEN: Mapping[str, Any] = {
    "model_cards": {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "Folders of Model Cards to choose from; by default the cards of this package.",
    },
    "tasks": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object"},
        "description": "Several tasks, each with a `data_card` and anything else of a job; their models are assigned.",
    },
}
"""What a job that leaves its models open has besides."""


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a `job` file, a `data-card` or a `model-card`."""
    found = MODELS[kind].model_json_schema()
    if kind == "job":
        _add_cards(found)
    documented = {model.__name__: model for model in models_in(MODELS[kind])}
    if kind == "job":
        documented |= {model.__name__: model for card in (DataCard, ModelCard) for model in models_in(card)}
    for name, part in {found["title"]: found, **found.get("$defs", {})}.items():
        _describe(part, documented.get(name))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def models_in(model: type) -> list[type]:
    """Return `model` and every record that its fields hold, in order of first mention."""
    found: dict[type, None] = {}
    waiting = [model]
    while waiting:
        one = waiting.pop(0)
        if one not in found:
            found[one] = None
            waiting += [t for hint in get_type_hints(one).values() for t in _records(hint)]
    return list(found)


def summary(model: type) -> str:
    """Return what the documentation of a record says before its attributes."""
    text = inspect.cleandoc(model.__doc__ or "")
    return re.split(r"\n\s*(?:Attributes|Args):\n", text)[0].strip()


def attributes(model: type) -> dict[str, str]:
    """Return field to what the documentation of a record says of it, on one line."""
    text = inspect.cleandoc(model.__doc__ or "")
    _, _, listed = text.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in listed.splitlines():
        if match := re.match(r"    (\w+): (.*)", line):
            name, found[match[1]] = match[1], match[2]
        elif line.startswith("     ") and name:
            found[name] += f" {line.strip()}"
        elif line.strip():
            break
    return found


def _add_cards(found: dict[str, Any]) -> None:
    for field, model in (("data_card", DataCard), ("model_card", ModelCard)):
        card = model.model_json_schema(ref_template="#/$defs/{model}")
        found["$defs"] |= card.pop("$defs", {})
        found["$defs"][card["title"]] = card
        file = {"type": "string", "description": "A file, relative to the job."}
        found["properties"][field] = {"anyOf": [file, {"$ref": f"#/$defs/{card['title']}"}]}
    for field, short in SHORT_FORMS.items():
        long = found["properties"][field]
        found["properties"][field] = {"anyOf": [{"$ref": long.pop("$ref")}, *short["anyOf"]], **long}
    found["properties"] |= OPEN
    found["required"] = []  # without a model one is assigned, and `tasks` bring their own data
    found["anyOf"] = [{"required": ["data_card"]}, {"required": ["tasks"]}]


def _describe(part: dict[str, Any], model: type | None) -> None:
    if model is None:
        return
    part["description"] = " ".join(summary(model).split())
    told = attributes(model)
    for name, field in part.get("properties", {}).items():
        if name in told:
            field["description"] = told[name]


def _records(hint: Any) -> Iterator[type]:
    if inspect.isclass(hint) and (issubclass(hint, BaseModel) or is_dataclass(hint)):
        yield hint
    for inner in get_args(hint):
        yield from _records(inner)
