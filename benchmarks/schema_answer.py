"""Replies that fit a JSON schema, without a model: what the model server answers by default.

Knows JSON Schema (the part that replies use) and nothing of what the values mean. The same prompt
asked for the n-th time always has the same reply, whatever was asked in between.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

WORDS = (
    "steady",
    "early",
    "gap",
    "plateau",
    "deeper",
    "wider",
    "smaller",
    "rate",
    "decay",
    "slope",
    "budget",
    "metric",
    "trial",
    "curve",
)
MAX_DEPTH = 6
PLAIN_REPLY = "No schema was given, so here is a plain sentence."


class SchemaAnswer:
    """Call with the body of a chat-completions request; returns the text of the reply."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, body: Mapping[str, Any]) -> str:
        """Return a reply that fits the schema in `body`."""
        asked = json.dumps(body.get("messages"), sort_keys=True)
        with self._lock:
            turn = self._counts[asked]
            self._counts[asked] += 1
        digest = hashlib.sha256(f"{self._seed}|{turn}|{asked}".encode()).hexdigest()
        schema = schema_of(body)
        if schema is None:
            return PLAIN_REPLY
        return json.dumps(fill(schema, random.Random(digest)))  # noqa: S311 - variety, not secrecy


def schema_of(body: Mapping[str, Any]) -> Any:
    """Return the schema of `response_format`, else the last one written out in the prompt, else None."""
    wanted = (body.get("response_format") or {}).get("json_schema") or {}
    if wanted.get("schema") is not None:
        return wanted["schema"]
    for message in reversed(body.get("messages") or []):
        for value in reversed(_objects_in(str(message.get("content", "")))):
            if _is_schema(value):
                return value
    return None


def _objects_in(text: str) -> list[Any]:
    """Return the outermost JSON objects written anywhere in `text`, in order."""
    found, at, decoder = [], text.find("{"), json.JSONDecoder()
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
            found.append(value)
        except ValueError:
            end = at + 1
        at = text.find("{", end)
    return found


def _is_schema(value: Mapping[str, Any]) -> bool:
    # An instance may have a key `type` too, but hardly beside one of these.
    beside = {"properties", "items", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}
    return bool(beside & set(value)) and (isinstance(value.get("type", "object"), str | list))


def fill(schema: Any, rng: random.Random, root: Any = None, depth: int = 0) -> Any:
    """Return a value that `schema` accepts.

    Args:
        schema: A JSON schema, or True.
        rng: Source of variety.
        root: The schema that holds `$defs`; `schema` itself by default.
        depth: How deep in it we are; past `MAX_DEPTH` optional parts are left out.
    """
    root = schema if root is None else root
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            rest = {k: v for k, v in schema.items() if k != key}
            return fill(_merged([rest, _branch(schema[key], rng, root, depth)], root), rng, root, depth + 1)
    return _FILLERS[_kind(schema, rng, depth)](schema, rng, root, depth)


def _resolved(schema: Any, root: Any) -> Any:
    if schema is True or schema == {}:
        return {"type": "string"}
    seen = 0
    while "$ref" in schema and seen < 20:
        target = root
        for part in schema["$ref"].removeprefix("#").split("/")[1:]:
            target = target[part.replace("~1", "/").replace("~0", "~")]
        schema, seen = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}, seen + 1
    return (
        _merged([{k: v for k, v in schema.items() if k != "allOf"}, *schema["allOf"]], root)
        if "allOf" in schema
        else schema
    )


def _merged(schemas: list[Any], root: Any) -> Any:
    merged: dict[str, Any] = {}
    for part in schemas:
        part = _resolved(part, root)
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", []), *part.get("required", [])]
        merged = {**merged, **part}
        if properties:
            merged |= {"properties": properties, "required": required}
    return merged


def _branch(branches: list[Any], rng: random.Random, root: Any, depth: int) -> Any:
    if depth < MAX_DEPTH:
        return rng.choice(branches)
    # Down here the branch that ends soonest, or a recursive schema would never end.
    leaves = [b for b in branches if _resolved(b, root).get("type") not in ("object", "array", None)]
    return (leaves or branches)[0]


def _kind(schema: Any, rng: random.Random, depth: int) -> str:
    kinds = schema.get("type") or _implied(schema)
    if isinstance(kinds, str):
        return kinds
    if depth >= MAX_DEPTH and "null" in kinds:
        return "null"
    return str(rng.choice(kinds))


def _implied(schema: Any) -> str:
    for kind, keys in {"object": ("properties", "required"), "array": ("items", "minItems")}.items():
        if any(key in schema for key in keys):
            return kind
    return "number" if {"minimum", "maximum"} & set(schema) else "string"


def _object(schema: Any, rng: random.Random, root: Any, depth: int) -> dict[str, Any]:
    properties, required = schema.get("properties", {}), set(schema.get("required", ()))
    chosen = [name for name in properties if name in required or (depth < MAX_DEPTH and rng.random() < 0.8)]
    value = {name: fill(properties[name], rng, root, depth + 1) for name in chosen}
    further = schema.get("additionalProperties", True)
    missing = sorted(required - set(value))
    while len(value) + len(missing) < schema.get("minProperties", 0):
        missing.append(f"key_{len(value) + len(missing)}")
    for name in missing:
        value[name] = fill(further if isinstance(further, dict) else {}, rng, root, depth + 1)
    return value


def _array(schema: Any, rng: random.Random, root: Any, depth: int) -> list[Any]:
    first = schema.get("prefixItems", [])
    low = schema.get("minItems", len(first) if first else min(1, schema.get("maxItems", 1)) if depth < MAX_DEPTH else 0)
    high = low if depth >= MAX_DEPTH else max(low, min(schema.get("maxItems", low + 2), low + 2))
    items: list[Any] = []
    count, tries = rng.randint(low, high), 0
    while len(items) < count and tries < 50 * count:
        tries += 1
        part = first[len(items)] if len(items) < len(first) else schema.get("items", {})
        item = fill(part, rng, root, depth + 1)
        if not (schema.get("uniqueItems") and item in items):
            items.append(item)
    return items


def _integer(schema: Any, rng: random.Random, root: Any, depth: int) -> int:
    step = schema.get("multipleOf", 1)
    low, high = _bounds(schema, 1)
    least = math.ceil(low / step)
    return int(step * rng.randint(least, max(least, math.floor(high / step))))


def _number(schema: Any, rng: random.Random, root: Any, depth: int) -> float:
    if "multipleOf" in schema:
        return _integer(schema, rng, root, depth)
    low, high = _bounds(schema, 0)
    # Spread over the orders of magnitude where the range has several, as hyperparameters do.
    value = low * (high / low) ** rng.random() if 0 < low < high / 100 else rng.uniform(low, high)
    rounded = float(f"{value:.4g}")
    inside = low <= rounded <= high and rounded not in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
    return rounded if inside else float(low + high) / 2


def _bounds(schema: Any, unit: int) -> tuple[Any, Any]:
    low = schema.get("minimum", schema["exclusiveMinimum"] + unit if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - unit if "exclusiveMaximum" in schema else None)
    if low is None:
        low = 0 if high is None else min(0, high - 1)
    return low, (max(1, low + 10 * max(1, abs(low))) if high is None else high)


def _string(schema: Any, rng: random.Random, root: Any, depth: int) -> str:
    low, high = schema.get("minLength", 1), schema.get("maxLength", math.inf)
    text = " ".join(rng.choices(WORDS, k=rng.randint(3, 8)))
    while len(text) < low:
        text += " " + rng.choice(WORDS)
    if len(text) > high:
        text = text[: int(high)]
        text = text.rstrip().ljust(low, "x")  # a cut at a space must not fall short
    return text


def _boolean(schema: Any, rng: random.Random, root: Any, depth: int) -> bool:
    return rng.random() < 0.5


def _null(schema: Any, rng: random.Random, root: Any, depth: int) -> None:
    return None


_FILLERS: dict[str, Callable[[Any, random.Random, Any, int], Any]] = {
    "object": _object,
    "array": _array,
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "null": _null,
}
