"""The ways in which a language model's server breaks, one value each.

`LLMServer` acts them out; the client's tests and `benchmarks/faults.py` go through all of `FAULTS`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any


@dataclass(frozen=True)
class Fault:
    """How one response differs from a good one.

    Attributes:
        status: HTTP status.
        body: Sent as it is instead of a completion.
        content_type: Of the response.
        headers: Further headers.
        edit: Changes the completion (a dict) before it is sent.
        hang_s: Seconds of silence before the response.
        drip_s: Seconds between bytes of the body.
        drip_head_s: Seconds between bytes of the head.
        truncate: Whether to close half-way through the body.
        reset: Whether to reset the connection instead of answering.
        when: Whether a request is hit at all; every one by default.
    """

    status: int = 200
    body: bytes | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    edit: Callable[[dict[str, Any]], object] | None = None
    hang_s: float = 0.0
    drip_s: float = 0.0
    drip_head_s: float = 0.0
    truncate: bool = False
    reset: bool = False
    when: Callable[[dict[str, Any]], bool] = lambda body: True


def error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: dict[str, str] | None = None,
    when: Callable[[dict[str, Any]], bool] = lambda body: True,
) -> Fault:
    """Return a fault in the form in which OpenAI reports errors."""
    inner = {"message": message, "type": "error", "code": code, "param": param}
    return Fault(status, json.dumps({"error": inner}).encode(), headers=headers or {}, when=when)


def refuses(
    parameter: str, message: str, *, when: Callable[[Any], bool] = lambda value: True, status: int = 400
) -> Fault:
    """Return a fault that hits requests with `parameter` in them (and for which `when` holds)."""

    def hit(body: dict[str, Any]) -> bool:
        return parameter in body and when(body[parameter])

    return error(status, message, param=parameter, code="unsupported_parameter", when=hit)


def reply_with(**changes: Any) -> Fault:
    """Return a fault that changes fields of the first choice's message, or its `finish_reason`."""

    def edit(reply: dict[str, Any]) -> None:
        choice = reply["choices"][0]
        choice["finish_reason"] = changes.get("finish_reason", choice["finish_reason"])
        choice["message"].update({k: v for k, v in changes.items() if k != "finish_reason"})

    return Fault(edit=edit)


PAGE = b"<html><head><title>Bad gateway</title></head><body><h1>nginx</h1></body></html>"

FAULTS: dict[str, Fault] = {
    "rate limited": error(429, "slow down", headers={"Retry-After": "7"}),
    "rate limited until a date": error(
        429, "slow down", headers={"Retry-After": formatdate(time.time() + 3600, usegmt=True)}
    ),
    "quota spent": error(429, "You exceeded your current quota", code="insufficient_quota"),
    "server error": error(500, "internal error"),
    "overloaded": error(503, "overloaded", headers={"Retry-After": "2"}),
    "request timeout": error(408, "timed out upstream"),
    "conflict": error(409, "locked"),
    "bad request": error(400, "maximum context length is 4096 tokens"),
    "unauthorised": error(401, "Incorrect API key provided"),
    "forbidden": error(403, "country not supported"),
    "wrong model": error(404, "The model `x` does not exist", code="model_not_found"),
    "unprocessable": Fault(
        422, json.dumps({"detail": [{"loc": ["body", "messages"], "msg": "bad role", "input": "x"}]}).encode()
    ),
    "html error page": Fault(502, PAGE, "text/html"),
    "html instead of a reply": Fault(200, PAGE, "text/html"),
    "wrong content type": Fault(content_type="text/plain"),
    "plain text": Fault(200, b"it works!", "text/plain"),
    "connection reset": Fault(reset=True),
    "hang": Fault(hang_s=5.0),
    "dripping body": Fault(drip_s=0.05),
    "dripping head": Fault(drip_head_s=0.05),
    "truncated body": Fault(truncate=True),
    "empty body": Fault(body=b""),
    "invalid json": Fault(body=b'{"choices": [{"message": '),
    "json list": Fault(body=b"[1, 2]"),
    "not utf-8": Fault(body=b'{"choices": "\xff\xfe'),
    "error with status 200": Fault(body=b'{"error": {"message": "upstream is down", "code": 502}}'),
    "empty choices": Fault(edit=lambda reply: reply.update(choices=[])),
    "null choices": Fault(edit=lambda reply: reply.update(choices=None)),
    "null content": reply_with(content=None),
    "empty content": reply_with(content="  \n"),
    "content is a number": reply_with(content=7),
    "content in parts": reply_with(content=[{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}]),
    "refusal": reply_with(content=None, refusal="I cannot help with that."),
    "content filter": reply_with(content=None, finish_reason="content_filter"),
    "cut off": reply_with(finish_reason="length"),
    "cut off before any text": reply_with(content="", finish_reason="length"),
    "missing usage": Fault(edit=lambda reply: reply.pop("usage")),
    "huge body": Fault(edit=lambda reply: reply["choices"][0]["message"].update(content="x" * 5_000_000)),
    "no response format": refuses("response_format", "response_format is not supported by this server"),
    "no json schema": refuses(
        "response_format",
        "response_format type 'json_schema' is unsupported",
        when=lambda f: f["type"] == "json_schema",
    ),
    "no strict schema": refuses(
        "response_format", "Invalid schema for response_format", when=lambda f: f.get("json_schema", {}).get("strict")
    ),
    "no temperature": refuses("temperature", "Unsupported value: 'temperature' does not support 0.5"),
    "no max_tokens": refuses("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
}
"""Every way to break, by name."""

PASSING = ("server error", "overloaded", "rate limited", "connection reset", "truncated body", "plain text", "refusal")
"""What a busy server does now and then, and stops doing."""


def sometimes(rate: float, kinds: Sequence[str] | None = None, seed: int = 0) -> Callable[[int], Fault | None]:
    """Return a `fault` for `LLMServer` that breaks the share `rate` of the requests, each in one of `kinds`."""

    def fault(number: int) -> Fault | None:
        rng = random.Random(f"{seed}|{number}")  # noqa: S311 - variety
        return FAULTS[rng.choice(list(kinds or PASSING))] if rng.random() < rate else None

    return fault
