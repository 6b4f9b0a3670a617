"""What a server understands of the chat-completions protocol, and how we learn it.

Servers that speak the "OpenAI protocol" differ: in how a reply is bound to a JSON schema, in the
name of the token limit, in whether a temperature may be set. A `Dialect` is what we believe one
server accepts; a complaint takes it one step down, never up, so learning always ends. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from automl_gpt_ray.records import JsonSchema

Structured = Literal["strict", "json_schema", "json_object", "none"]
LimitName = Literal["max_tokens", "max_completion_tokens"]

_WEAKER: dict[str, Structured] = {"strict": "json_schema", "json_schema": "json_object", "json_object": "none"}
_FORMAT = re.compile(
    r"response[_ ]?format|json[_ ]?(schema|object|mode)|invalid schema|structured[_ ]?output|guided|grammar", re.I
)
# A limit that is too high is the caller's mistake; only a name the server does not know is ours.
_UNKNOWN = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|extra (inputs|fields)"
    r"|deprecated|only the default|instead",
    re.I,
)


@dataclass(frozen=True)
class Dialect:
    """What to send to one server.

    Attributes:
        structured: How a wanted schema is sent: `strict` (a schema the server enforces to the
            letter), `json_schema`, `json_object` (any JSON), or `none` (the prompt alone).
        adapts: Whether a complaint may weaken `structured`; False where the job fixed it.
        temperature: Whether a temperature may be sent.
        limit: Name of the token limit, or None where none is accepted.
    """

    structured: Structured = "strict"
    adapts: bool = True
    temperature: bool = True
    limit: LimitName | None = "max_tokens"

    def response_format(self, schema: JsonSchema | None) -> dict[str, Any] | None:
        """Return the request's `response_format` for `schema`, or None to leave it out."""
        if schema is None or self.structured == "none":
            return None
        if self.structured == "json_object":
            return {"type": "json_object"}
        wanted: dict[str, Any] = {"name": _name(schema), "schema": dict(schema)}
        if self.structured == "strict" and is_strict(schema):
            wanted["strict"] = True
        return {"type": "json_schema", "json_schema": wanted}

    def after(self, complaint: str, sent: Mapping[str, Any]) -> Dialect | None:
        """Return the dialect to try once a server has refused a request, or None to give up.

        Args:
            complaint: The server's message, with the parameter it named.
            sent: The refused request: only what was in it can have been refused.
        """
        if self.limit in sent and _refuses(complaint, "max_tokens", "max_completion_tokens"):
            return replace(self, limit="max_completion_tokens" if self.limit == "max_tokens" else None)
        if "temperature" in sent and _refuses(complaint, "temperature"):
            return replace(self, temperature=False)
        if self.adapts and "response_format" in sent and _FORMAT.search(complaint):
            return self._weaker(sent["response_format"])
        return None

    def _weaker(self, sent: Mapping[str, Any]) -> Dialect:
        # A schema that was sent without `strict` would be sent unchanged one step down: skip it.
        lax = sent["type"] == "json_schema" and not sent["json_schema"].get("strict")
        return replace(self, structured="json_object" if lax else _WEAKER[self.structured])


def is_strict(schema: Any) -> bool:
    """Return whether every object of `schema` is closed and requires all it lists.

    That is what `strict` asks of a schema; one that does not comply is refused by the server.
    """
    if isinstance(schema, Mapping):
        return _closed(schema) and all(is_strict(part) for part in schema.values())
    if isinstance(schema, list | tuple):
        return all(is_strict(part) for part in schema)
    return True


def _closed(schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties")
    if schema.get("type") != "object" and not isinstance(properties, Mapping):
        return True
    return schema.get("additionalProperties") is False and set(schema.get("required", ())) >= set(properties or ())


def _refuses(complaint: str, *names: str) -> bool:
    return any(name in complaint for name in names) and _UNKNOWN.search(complaint) is not None


def _name(schema: JsonSchema) -> str:
    """The protocol allows letters, digits, `_` and `-`, at most 64."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title", ""))).strip("_")[:64] or "reply"
