"""A regular expression for the replies that fit a JSON schema, small and of bounded length.

The library turns the schema into the expression. This file rewrites the schema first, because what
it makes of bare numbers and strings has no end: numbers become those of their range with four
digits, strings become printable ASCII without escapes, arrays get a most. Pure; no model is known here.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from automl_gpt_ray.llm.number_pattern import decimal_pattern, integer_pattern
from automl_gpt_ray.records import JsonSchema

STRING_BODY = r"[ !#-\[\]-~]"
"""A character that may stand in a string: printable ASCII without the quote and the backslash."""

MAX_ITEMS = 8
"""Most items of an array whose schema gives no most."""

MAX_REGEX = 200_000
"""Longest expression that is compiled; free-form objects would be far longer."""

_ANY_NUMBER = r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,6})?"
_REACH = 999_999
_SHAPES = frozenset({"type", "properties", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"})
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})


class SchemaUnsupported(ValueError):
    """The schema cannot be turned into an expression."""


def reply_regex(schema: JsonSchema) -> str:
    """Return an expression that matches JSON texts of `schema` and nothing else.

    Raises:
        SchemaUnsupported: The schema uses what the library does not know, or allows free objects.
    """
    from outlines_core.json_schema import build_regex_from_schema  # type: ignore[import-untyped]  # it ships no types

    text = json.dumps(schema, default=_plain)
    numbers = _Numbers(hashlib.sha256(text.encode()).hexdigest()[:16])
    try:
        regex = build_regex_from_schema(json.dumps(_rewritten(json.loads(text), numbers)))
    except (ValueError, TypeError, KeyError) as error:
        raise SchemaUnsupported(str(error).strip().splitlines()[0] if str(error) else repr(error)) from error
    if len(regex) > MAX_REGEX:
        raise SchemaUnsupported(f"its expression must be under {MAX_REGEX} characters, got {len(regex)}")
    return _ascii(numbers.put_into(regex))


class _Numbers:
    """Patterns that the library has no word for, each behind a constant that it leaves alone."""

    def __init__(self, salt: str) -> None:
        self._salt = salt
        self._patterns: list[str] = []

    def constant(self, pattern: str) -> dict[str, Any]:
        self._patterns.append(pattern)
        return {"const": f"{self._salt}_{len(self._patterns) - 1}"}

    def put_into(self, regex: str) -> str:
        return re.sub(f'"{self._salt}_(\\d+)"', lambda match: self._patterns[int(match[1])], regex)


def _rewritten(schema: Any, numbers: _Numbers) -> dict[str, Any]:
    if not isinstance(schema, dict) or not _SHAPES & schema.keys():
        raise SchemaUnsupported(f"`{json.dumps(schema)[:60]}` allows any value; give it a type")
    if "enum" in schema or "const" in schema:
        # A type beside the values says nothing more.
        return {key: schema[key] for key in ("enum", "const") if key in schema}
    if isinstance(schema.get("type"), list):
        rest = {key: value for key, value in schema.items() if key != "type"}
        return {"anyOf": [_rewritten({**rest, "type": kind}, numbers) for kind in schema["type"]]}
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return numbers.constant(_number(schema, kind))
    if kind == "string" and not {"pattern", "format"} & schema.keys():
        return _string(schema)
    if (kind == "object" and "properties" not in schema) or (kind == "array" and "items" not in schema):
        raise SchemaUnsupported(f"an {kind} must list its {'properties' if kind == 'object' else 'items'}")
    return _within(schema, numbers)


def _within(schema: dict[str, Any], numbers: _Numbers) -> dict[str, Any]:
    inner = dict(schema)
    for key in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(key), dict):
            inner[key] = {name: _rewritten(part, numbers) for name, part in schema[key].items()}
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(schema.get(key), list):
            inner[key] = [_rewritten(part, numbers) for part in schema[key]]
    if isinstance(schema.get("items"), dict):
        inner["items"] = _rewritten(schema["items"], numbers)
        inner["maxItems"] = schema.get("maxItems", max(MAX_ITEMS, schema.get("minItems", 0)))
    return inner


def _number(schema: Mapping[str, Any], kind: str) -> str:
    if kind == "number" and not _BOUNDS & schema.keys():
        return _ANY_NUMBER
    low, high = _ends(schema)
    if kind == "integer":
        return integer_pattern(math.ceil(low), math.floor(high))
    return decimal_pattern(low, high)


def _ends(schema: Mapping[str, Any]) -> tuple[float, float]:
    """Return the closed range of a number; an open side reaches far, but not for ever."""
    whole = schema["type"] == "integer"
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = _next(schema["exclusiveMinimum"], math.inf, whole)
    if "exclusiveMaximum" in schema:
        high = _next(schema["exclusiveMaximum"], -math.inf, whole)
    if low is None:
        low = -_REACH if high is None else min(-_REACH, high - _REACH)
    return low, max(_REACH, low + _REACH) if high is None else high


def _next(end: float, towards: float, whole: bool) -> float:
    if whole:
        return math.floor(end) + 1 if towards > 0 else math.ceil(end) - 1
    return math.nextafter(end, towards)


def _string(schema: Mapping[str, Any]) -> dict[str, Any]:
    # A most is kept while generating: here each character of it would be a state of its own.
    least = max(1, int(schema.get("minLength", 1)))
    return {"type": "string", "pattern": STRING_BODY + ("+" if least == 1 else f"{{{least},}}")}


def _ascii(regex: str) -> str:
    """Write other characters as JSON escapes, which every vocabulary can spell."""
    return re.sub(r"[^\x00-\x7f]", lambda match: json.dumps(match[0])[1:-1].replace("\\", r"\\"), regex)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
