"""What a failed request means for the caller, in words a person can act on.

Sorts statuses, connection failures and unusable bodies into "try again" and "do not"; names the
server, the model and the remedy. Knows no HTTP client and keeps no key: every text is redacted.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from automl_gpt_ray.errors import LLMError, LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.chat_reply import message_of
from automl_gpt_ray.llm.redaction import redact

MAX_MESSAGE = 300
"""Characters of a server's own message that are shown."""

_UNREACHABLE = "Is the server running? Check `llm.base_url`"
_REMEDY = {
    400: "Check the model's name, its limits and the job's `llm` section",
    401: "Check the key in the environment variable `{key}`",
    403: "Check what the key in the environment variable `{key}` may use",
    404: "Check `llm.model` and `llm.base_url` (most end in `/v1`)",
    422: "Check the job's `llm` section against what this server accepts",
}


@dataclass(frozen=True)
class Asked:
    """Who was asked, for messages.

    Attributes:
        host: Host and port of the server.
        model: The model's name.
        key_name: Environment variable that holds the key, or the path of the file that does.
        secrets: Values never to be shown; not part of the repr either.
    """

    host: str
    model: str
    key_name: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def too_late(self, seconds: float) -> LLMUnavailable:
        """Return the error for an answer that was not complete within `seconds`."""
        what = f"gave no complete answer within {seconds:g} s"
        return self._unavailable(what, f"{_UNREACHABLE} or raise `llm.timeout_s`")

    def unreachable(self, cause: str) -> LLMUnavailable:
        """Return the error for a connection that failed or broke, `cause` being its own words."""
        return self._unavailable(
            f"could not be reached or broke off ({self._clean(cause) or 'no reason'})", _UNREACHABLE
        )

    def too_large(self, megabytes: float) -> LLMUnavailable:
        """Return the error for a reply over the cap."""
        return self._unavailable(f"sent a reply of more than {megabytes:g} MiB", "Lower `llm.max_tokens`")

    def unusable(self, why: str) -> LLMUnavailable:
        """Return the error for a successful response without text in it."""
        return self._unavailable(
            f"sent no usable reply: {self._clean(why)}",
            "Try again; if it stays so, check that `llm.base_url` is that of a chat-completions server",
        )

    def no_key(self) -> LLMRejected:
        """Return the error for a server that needs a key when there is none."""
        return LLMRejected(
            f"{self._who()} needs a key: {self._absent()}. Set it, or name a server of your own in `llm.base_url`."
        )

    def _absent(self) -> str:
        if "/" in self.key_name:
            return f"the file `{self.key_name}` holds none that can be read"
        return f"the environment variable `{self.key_name}` is not set"

    def refused(self, status: int, body: Any, headers: Mapping[str, str]) -> LLMError:
        """Return the error for an error status.

        Args:
            status: HTTP status, 300 or more.
            body: Decoded JSON, or text where the body was none.
            headers: Response headers, lower-case names.
        """
        said = self._clean(message_of(body))
        what = f"answered {status}{f': {said}' if said else ''}"
        if status == 429 and _quota_is_spent(body):
            return LLMRejected(f"{self._who()} {what}. The account's quota is spent: check its plan and billing.")
        if status in (408, 409, 429) or status >= 500:
            return self._unavailable(what, "It may recover: try again later", retry_after(headers))
        remedy = _REMEDY.get(status, _REMEDY[400]).format(key=self.key_name)
        return LLMRejected(f"{self._who()} {what}. {remedy}.")

    def _unavailable(self, what: str, remedy: str, after: float | None = None) -> LLMUnavailable:
        return LLMUnavailable(f"{self._who()} {what}. {remedy}.", after)

    def _who(self) -> str:
        return redact(f"Model `{self.model}` at {self.host}", self.secrets)

    def _clean(self, text: str) -> str:
        # Redact before shortening: half a key is not recognised as one.
        visible = re.sub(r"<[^<>]*>|[\x00-\x1f\x7f-\x9f]", " ", redact(text, self.secrets))
        line = " ".join(visible.split()).rstrip(".")
        return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds a server asks to wait, from `Retry-After` as seconds or as a date.

    Args:
        headers: Response headers, lower-case names.
        now: Seconds since the epoch; the clock's by default.

    Returns:
        Seconds, 0 or more; None where it did not say, or said nothing that can be read.
    """
    said = headers.get("retry-after", "").strip()
    milliseconds = _number(headers.get("retry-after-ms", ""))
    seconds = milliseconds / 1000 if milliseconds is not None else _number(said)
    if seconds is None and said:
        seconds = _seconds_until(said, time.time() if now is None else now)
    return None if seconds is None else max(0.0, seconds)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds_until(date: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _quota_is_spent(body: Any) -> bool:
    inner = body.get("error", body) if isinstance(body, Mapping) else {}
    named: Iterable[Any] = (inner.get("code"), inner.get("type")) if isinstance(inner, Mapping) else ()
    return "insufficient_quota" in named
