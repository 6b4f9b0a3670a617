"""YAML text to checked records, with every problem of a file in one error; and mappings to YAML text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from automl_gpt_ray.errors import InputError, JobError, Problem, problems_of, shown

Record = TypeVar("Record", bound=BaseModel)
_BOOL = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `1e-4` as a number and `yes` as text (YAML 1.2), and refuses repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            text = str(key.value)
            if text in seen:
                raise yaml.MarkedYAMLError(problem=f"key `{text}` is given twice", problem_mark=key.start_mark)
            seen.add(text)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes the texts `_Loader` would read as numbers, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
        list("-+0123456789."),
    )


# The dumper goes on to quote `yes` and `off`, for other readers may follow YAML 1.1.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != _BOOL]
    for first, known in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


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
    except (yaml.YAMLError, ValueError, RecursionError) as reason:
        # ValueError: a date like 2020-99-99 or an integer of thousands of digits. RecursionError: `[[[[…`.
        mark = getattr(reason, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(file)"
        detail = " ".join(str(getattr(reason, "problem", None) or reason).split())
        raise error(source, [Problem(where, "must be valid YAML", detail, "fix the syntax there")]) from None
    if not isinstance(value, dict):
        raise error(source, [Problem("(file)", "must be a mapping of keys to values", shown(value))])
    return value


def setting(text: str) -> tuple[str, Any]:
    """Return the dotted key and the value of a `--set KEY=VALUE`; JobError where it is none."""
    key, equals, _ = text.partition("=")
    if not equals or not key:
        raise JobError("--set", [Problem("--set", "must be KEY=VALUE", text, "write --set scheduler.type=asha")])
    return key, parse_yaml(f"value: {text[len(key) + 1 :]}", "--set", JobError)["value"]


def dump_yaml(value: dict[str, Any]) -> str:
    """Return `value` as YAML text that `parse_yaml` reads back as an equal mapping."""
    text = _dumped(value, readable=True)
    # PyYAML writes these line breaks of other scripts as they are, and reads them as spaces.
    return _dumped(value, readable=False) if any(c in text for c in "\x85\u2028\u2029") else text


def build(record: type[Record], values: Any, source: str, error: type[InputError]) -> Record:
    """Return `values` as a `record`.

    Raises:
        InputError: Of class `error`, listing every problem.
    """
    try:
        return record.model_validate(values)
    except ValidationError as reason:
        raise error(source, problems_of(reason, lambda path: _keys_at(record, path))) from None


def _keys_at(record: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the keys of the record in which the key at `path` stands."""
    records = [record]
    for part in path[:-1]:
        # A part that is no field is a key or a place within one.
        fields = [kind.model_fields[part].annotation for kind in records if part in kind.model_fields]
        records = [inner for field in fields for inner in _records_in(field)] if fields else records
    known = [name for kind in records for name in kind.model_fields]
    # Of several kinds of record, the key may be that of another.
    return [] if path[-1] in known else known


def _records_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _records_in(inner)


def _dumped(value: dict[str, Any], readable: bool) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=readable, width=100)
    return str(text)
