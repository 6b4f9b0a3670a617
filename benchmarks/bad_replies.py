"""Replies that a language model should not give: texts, or what to make of a good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def _each(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    """Return what changes every proposal of a good reply."""

    def bad(text: str) -> str:
        reply = json.loads(text)
        for proposal in reply.get("proposals", []):
            change(proposal)
        return json.dumps(reply)

    return bad


def _values(**values: Any) -> Callable[[str], str]:
    return _each(lambda proposal: proposal["hyperparameters"].update(values))


BAD_REPLIES: dict[str, str | Callable[[str], str]] = {
    "prose": "I would lower the learning rate and train for longer.",
    "a refusal in words": "I'm sorry, but I can't help with that.",
    "only thinking": "<think>The learning rate seems high.</think>",
    "unclosed thinking": lambda good: f"<think>{good}",
    "thinking before the answer": lambda good: f"<think>{{}} hm</think>{good}",
    "a code fence": lambda good: f"Here you are:\n```json\n{good}\n```\nGood luck!",
    "cut in half": lambda good: good[: len(good) // 2],
    "an empty object": "{}",
    "an empty list": '{"proposals": []}',
    "a list of numbers": '{"proposals": [1, 2, 3]}',
    "deep nesting": '{"a":' * 30_000,
    "too long": "x" * 300_000,
    "out of range": _values(lr=1e9),
    "NaN": _values(lr=float("nan")),
    "infinity": _values(lr=float("inf")),
    "numbers as text": _values(lr="0.01", width="64"),
    "wrong type": _values(lr={"value": 0.01}, width=[64]),
    "unknown choice": _values(optimizer="lion"),
    "unknown name": _values(**{"__import__('os').system('true')": 1}),
    "missing values": _each(lambda proposal: proposal["hyperparameters"].pop("lr", None)),
    "no hyperparameters": _each(lambda proposal: proposal.pop("hyperparameters", None)),
    "no reason": _each(lambda proposal: proposal.pop("reason", None)),
    "an endless reason": _each(lambda proposal: proposal.update(reason="because " * 10_000)),
    "control characters": _each(lambda proposal: proposal.update(reason="\x1b[2J\x00\ud800")),
    "no predicted log": _each(lambda proposal: proposal.pop("predicted_log", None)),
    "a predicted log of text": _each(lambda proposal: proposal.update(predicted_log="up and to the right")),
    "always the default": _values(lr=0.05, width=64, dropout=0.3, optimizer="sgd"),
}
