"""Reading a chat-completions reply: from bytes that may hold anything to a `Completion`.

Knows the shape of the protocol's reply and how servers stray from it; knows no HTTP client and no
error of the package, since what is wrong is told to a person by `server_errors`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from automl_gpt_ray.records import Completion, Usage

_FINISH = {"stop": "stop", "length": "length", "content_filter": "refusal"}


class BadReply(Exception):
    """The reply holds no text; the message says why, as a clause ("the body is not JSON")."""


def read_reply(body: bytes, asked: str, seconds: float) -> Completion:
    """Return the completion in `body`.

    Args:
        body: The whole body of a successful response.
        asked: The model that was asked, for servers that do not say which one answered.
        seconds: From request to last byte.

    Raises:
        BadReply: There is no text in it.
    """
    reply = _json_object(body)
    choice = _first_choice(reply)
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    finish = _finish(choice, message)
    text = _text(message)
    # A cut-off reply may be empty (a reasoning model that spent its whole limit on thinking):
    # that is an answer, and asking the same again would end the same.
    if not text.strip() and finish not in ("refusal", "length"):
        raise BadReply("the reply is empty")
    model = reply.get("model")
    return Completion(text, model if isinstance(model, str) and model else asked, _usage(reply), seconds, finish)


def _json_object(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        raise BadReply("the body is empty")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        kind = "an HTML page" if body.lstrip()[:1] == b"<" else "not JSON"
        raise BadReply(f"the body is {kind}") from None
    if not isinstance(value, Mapping):
        raise BadReply("the body is not a JSON object")
    return value


def _first_choice(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = reply.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return choices[0]
    # Some gateways report a failure upstream with status 200.
    said = message_of(reply) if "error" in reply else ""
    raise BadReply(f"the reply holds no choices{f': {said}' if said else ''}")


def _finish(choice: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    if message.get("refusal"):
        return "refusal"
    said = choice.get("finish_reason")
    return _FINISH.get(said, said) if isinstance(said, str) and said else "stop"


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or message.get("refusal") or ""
    if isinstance(content, list):  # some servers answer in parts, as requests may be written
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        raise BadReply("the reply's content is not text")
    return content


def _usage(reply: Mapping[str, Any]) -> Usage:
    usage = reply.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _count(value: Any) -> int:
    # Budgets reckon with floats, which numbers of hundreds of digits do not fit.
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0


def decoded(text: str) -> Any:
    """Return the JSON value in the body of an error, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def message_of(body: Any) -> str:
    """Return what the body of an error says, in any of the shapes servers use; "" for nothing."""
    if isinstance(body, str):
        return body
    if not isinstance(body, Mapping):
        return ""
    for key in ("error", "message", "detail"):
        value = body.get(key)
        if isinstance(value, Mapping):
            return message_of(value)
        if isinstance(value, list):
            return "; ".join(_field_problem(item) for item in value)
        if value:
            return str(value)
    return ""


def _field_problem(item: Any) -> str:
    """FastAPI's list of problems; its `input` is left out, being the request all over again."""
    if not isinstance(item, Mapping):
        return str(item)
    where = item.get("loc")
    path = ".".join(map(str, where)) if isinstance(where, list) else ""
    return f"{path}: {item.get('msg', '')}"
