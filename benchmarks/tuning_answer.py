"""Replies of a sensible tuner: an answer for the model server that reads the prompt it is given.

It finds the default setting and the best settings so far in the prompt, changes a few hyperparameters
within the ranges of the reply's schema, and predicts a log from what the best setting reached. It is a
stand-in for a language model: small moves around what worked, honest and unimaginative.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Mapping
from typing import Any

from benchmarks.schema_answer import PLAIN_REPLY, SchemaAnswer, schema_of

_DEFAULT = re.compile(r"^default setting: (\{.*\})$", re.MULTILINE)
_TRIAL = re.compile(r"^  (-?[\d.]+(?:e-?\d+)?) \| \w+ at \d+ \| (\{.*\}|the default) \| log", re.MULTILINE)


class TuningAnswer:
    """Call with the body of a chat-completions request; returns the text of the reply."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._fallback = SchemaAnswer(seed)

    def __call__(self, body: Mapping[str, Any]) -> str:
        """Return the proposals that fit the schema in `body`."""
        text = body["messages"][-1]["content"]
        schema = schema_of(body)
        default = _DEFAULT.search(text)
        if schema is None or default is None or "proposals" not in schema.get("properties", {}):
            return self._fallback(body) if schema else PLAIN_REPLY
        rng = random.Random(hashlib.sha256(f"{self._seed}|{text}".encode()).hexdigest())  # noqa: S311 - variety
        start = json.loads(default[1])
        best = [(float(v), {**start, **({} if c == "the default" else json.loads(c))}) for v, c in _TRIAL.findall(text)]
        items = schema["properties"]["proposals"]
        made = [_proposal(items["items"], best, start, rng) for _ in range(items.get("maxItems", 1))]
        return json.dumps({"proposals": made})


def _proposal(schema: Any, best: list[Any], start: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    value, base = best[0] if best and rng.random() < 0.7 else (best[0][0] if best else 0.5, start)
    groups = [g for g in schema["properties"] if g not in ("reason", "predicted_log")]
    names = [n for g in groups for n in schema["properties"][g]["properties"]]
    moved = set(rng.sample(names, k=min(len(names), rng.randint(1, 3))))
    reply: dict[str, Any] = {"reason": f"moves {', '.join(sorted(moved))} away from a setting that reached {value:.4g}"}
    for group in groups:
        part = schema["properties"][group]["properties"]
        reply[group] = {n: _value(s, base.get(n), n in moved, rng) for n, s in part.items()}
    points = schema["properties"]["predicted_log"]["items"]["properties"]["step"]["enum"]
    reply["predicted_log"] = [
        {"step": s, "value": value, "low": value - 0.02 - 0.02 / (i + 1), "high": min(1.0, value + 0.02)}
        for i, s in enumerate(points)
    ]
    return reply


def _value(schema: Any, old: Any, move: bool, rng: random.Random) -> Any:
    if "anyOf" in schema:
        return None if old is None else _value(schema["anyOf"][0], old, move, rng)
    if "enum" in schema:
        return rng.choice(schema["enum"]) if move or old not in schema["enum"] else old
    low, high = schema["minimum"], schema["maximum"]
    if old is None:
        old = low
    if not move:
        return old
    if low > 0 and high / low > 20:
        new = math.exp(min(math.log(high), max(math.log(low), math.log(max(old, low)) + rng.gauss(0, 0.6))))
    else:
        new = min(high, max(low, old + rng.gauss(0, 0.15) * (high - low)))
    return round(new) if schema["type"] == "integer" else new
