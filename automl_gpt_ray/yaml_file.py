"""Reading YAML files into checked records, with every problem of a file in one error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from automl_gpt_ray.errors import InputError, Problem, problems_of, shown

Record = TypeVar("Record", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `1e-4` as a number (YAML 1.2) and refuses repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                mark = key.start_mark
                raise yaml.MarkedYAMLError(problem=f"key `{key.value}` is given twice", problem_mark=mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def read_yaml(path: Path, error: type[InputError]) -> dict[str, Any]:
    """Return the mapping that `path` holds.

    Raises:
        InputError: Of class `error`: no such file, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as reason:
        remedy = "check the path" if isinstance(reason, OSError) else "save the file as UTF-8 text"
        detail = getattr(reason, "strerror", None) or str(reason)
        raise error(str(path), [Problem("(file)", "must be a readable text file", detail, remedy)]) from None
    return parse_yaml(text, str(path), error)


def parse_yaml(text: str, source: str, error: type[InputError]) -> dict[str, Any]:
    """Return the mapping that `text` holds; errors as in `read_yaml`."""
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.YAMLError as reason:
        mark = getattr(reason, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(file)"
        detail = getattr(reason, "problem", None) or str(reason)
        raise error(source, [Problem(where, "must be valid YAML", str(detail), "fix the syntax there")]) from None
    if not isinstance(value, dict):
        raise error(source, [Problem("(file)", "must be a mapping of keys to values", shown(value))])
    return value


def build(record: type[Record], values: Any, source: str, error: type[InputError]) -> Record:
    """Return `values` as a `record`.

    Raises:
        InputError: Of class `error`, listing every problem.
    """
    try:
        return record.model_validate(values)
    except ValidationError as reason:
        known = list(record.model_fields)
        raise error(source, problems_of(reason, known)) from None
