"""Language models in the simulator: what they cost, and one that answers at random."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, final

import numpy as np

from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.records import Completion, JsonSchema, Prompt, Usage


@final
class Metered:
    """A client that remembers how long its calls took and what they used.

    Args:
        client: Who answers.
    """

    def __init__(self, client: LLMClient) -> None:
        self._client = client
        self.calls, self.spent = 0, Usage()
        self._since = 0.0

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the client's answer; a failed call takes its time too."""
        began = time.perf_counter()
        self.calls += 1
        try:
            answer = self._client.complete(prompt, schema)
        finally:
            self._since += time.perf_counter() - began
        self.spent = self.spent + answer.usage
        return answer

    def latency(self) -> float:
        """Return the seconds of all calls since this was last asked."""
        seconds, self._since = self._since, 0.0
        return seconds


@final
class RandomModel:
    """A language model that answers at random, within the schema: knowledge none, form perfect.

    Args:
        seed: Of its answers.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 7])

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return a random reply that fits `schema`."""
        return Completion(json.dumps(_fill(schema or {}, self._rng)), model="random")


def _fill(schema: Mapping[str, Any], rng: np.random.Generator) -> Any:
    if "anyOf" in schema:
        return _fill(schema["anyOf"][int(rng.integers(len(schema["anyOf"])))], rng)
    if "enum" in schema:
        return schema["enum"][int(rng.integers(len(schema["enum"])))]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type", "string")
    if kind == "object":
        return {name: _fill(part, rng) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_fill(schema["items"], rng) for _ in range(int(schema.get("maxItems", schema.get("minItems", 1))))]
    return _simple(str(kind), schema, rng)


def _simple(kind: str, schema: Mapping[str, Any], rng: np.random.Generator) -> Any:
    if kind in ("number", "integer"):
        low, high = float(schema.get("minimum", 0.0)), float(schema.get("maximum", 1.0))
        # Ranges of several orders of magnitude are meant on a log scale; a random model knows that much.
        wide = low > 0 and high / low > 100
        value = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if wide else float(rng.uniform(low, high))
        return round(value) if kind == "integer" else value
    if kind == "boolean":
        return bool(rng.integers(2))
    return None if kind == "null" else "at random"
