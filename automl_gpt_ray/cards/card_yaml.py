"""Cards written as YAML, without what a reader would fill in: the inverse of loading them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from automl_gpt_ray.cards.data_card import DataCard
from automl_gpt_ray.cards.model_card import ModelCard
from automl_gpt_ray.yaml_file import dump_yaml


def to_yaml(card: DataCard | ModelCard) -> str:
    """Return `card` as YAML text that `load_data_card` or `load_model_card` reads back as an equal card.

    Fields at their defaults are left out.
    """
    return dump_yaml(_plain(card))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        kept = (name for name in type(value).model_fields if _is_told(value, name))
        return {name: _plain(getattr(value, name)) for name in kept}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _is_told(record: BaseModel, name: str) -> bool:
    # `type` says which kind a parameter is; `default: null` chooses null, its absence does not.
    field = type(record).model_fields[name]
    if name == "type" or (name == "default" and name in record.model_fields_set):
        return True
    return field.is_required() or getattr(record, name) != field.get_default(call_default_factory=True)
