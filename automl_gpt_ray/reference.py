"""The reference of job file and cards, as Markdown, from the records that read them."""

from __future__ import annotations

import json
from typing import Any

from automl_gpt_ray.schema import MODELS, OPEN, attributes, models_in, schema, summary

TITLES = {"job": "Job file", "data-card": "Data Card", "model-card": "Model Card"}
HEAD = """# Reference of job file and cards

Made from the code that reads them by `automl-gpt-ray schema reference`; do not edit. For editors,
`automl-gpt-ray schema job` (`data-card`, `model-card`) prints a JSON schema: save it, and begin a YAML file with
`# yaml-language-server: $schema=job.schema.json`.
"""


def reference() -> str:
    """Return the reference of job file, Data Card and Model Card."""
    parts, known = [HEAD], set[type]()
    for kind, title in TITLES.items():
        whole = schema(kind)
        parts.append(f"## {title}\n")
        for model in models_in(MODELS[kind]):
            if model in known or (kind == "job" and model.__name__ in ("DataCard", "ModelCard")):
                continue
            known.add(model)
            part = whole if model is MODELS[kind] else whole["$defs"].get(model.__name__)
            if part:
                parts.append(_part(model, part, top=model is MODELS[kind]))
    return "\n".join(parts)


def _part(model: type, part: dict[str, Any], top: bool) -> str:
    told, lines = attributes(model), []
    for name, field in part.get("properties", {}).items():
        words = told.get(name) or (OPEN.get(name, {}).get("description", "") if top else "")
        needed = name in part.get("required", ())
        default = "required" if needed else _default(field)
        lines.append(f"| `{name}` | {_cell(_type(field))} | {_cell(default)} | {_cell(words)} |")
    heading = "" if top else f"### `{model.__name__}`\n\n"
    table = ["| field | type | default | what it is |", "|---|---|---|---|", *lines]
    return f"{heading}{summary(model)}\n\n" + "\n".join(table) + "\n"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return f"`{field['$ref'].rsplit('/', 1)[-1]}`"
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    for key in ("anyOf", "oneOf"):
        if key in field:
            return " or ".join(dict.fromkeys(_type(one) for one in field[key] if one.get("type") != "null"))
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {_type(field.get('items', {}))}"
    if kind == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"name to {_type(field['additionalProperties'])}"
    return kind + _range(field)


def _range(field: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    ends = [f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field]
    return f" {' and '.join(ends)}" if ends else ""


def _default(field: dict[str, Any]) -> str:
    if "default" not in field or field["default"] in (None, "", [], {}):
        return ""
    return f"`{json.dumps(field['default'], ensure_ascii=False)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
