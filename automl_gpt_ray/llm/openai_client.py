"""The client of every server that speaks OpenAI's chat-completions protocol.

OpenAI itself, vLLM, Ollama, Ray Serve, gateways: they differ in the base URL and in a `Dialect`
learnt from their complaints. The only module that imports `openai`, and not before the first
request. Retries, budgets and recording are wrappers and not known here.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final
from urllib.parse import urlsplit

from automl_gpt_ray.errors import JobError, LLMError, LLMUnavailable, Problem, shown
from automl_gpt_ray.llm.chat_reply import BadReply, decoded, message_of, read_reply
from automl_gpt_ray.llm.deadline import DeadlinePassed, within
from automl_gpt_ray.llm.dialect import Dialect
from automl_gpt_ray.llm.redaction import key_in, redact
from automl_gpt_ray.llm.server_errors import Asked
from automl_gpt_ray.records import Completion, JsonSchema, Prompt

OPENAI_URL = "https://api.openai.com/v1"
PLACEHOLDER_KEY = "none"
"""Sent to servers of one's own when no key is set: the protocol wants some key, they check none."""

MAX_CONNECT_S = 10.0

StructuredOutput = Literal["auto", "json_schema", "json_object", "none"]
_DIALECTS = {
    "auto": Dialect(),
    "json_schema": Dialect("strict", adapts=False),
    "json_object": Dialect("json_object", adapts=False),
    "none": Dialect("none", adapts=False),
}


@final
class OpenAIClient:
    """An `LLMClient` over HTTP; usable from several threads, and picklable (the key stays behind).

    Args:
        model: Name of the model, as the server knows it.
        base_url: Server, with its `/v1`; None for OpenAI's own.
        api_key_env: Environment variable that holds the key; read at each call, never stored. Where
            it is set its value is sent to `base_url`, so give a server of your own its own variable.
        api_key_file: File that holds the key, in place of the variable; read at each call, so that a secret
            that is renewed takes effect.
        timeout_s: Seconds for a whole call, up to the last byte and over every attempt at finding
            the server's dialect.
        temperature: Sampling temperature, 0 or more; None leaves it to the server.
        max_tokens: Most tokens of a reply; None leaves it to the server.
        structured: How a schema is sent. `auto` finds the strongest form that the server accepts;
            the others are sent as they are.
        extra: Further fields of the request's body (`reasoning_effort`, `chat_template_kwargs`).
            No place for keys: it is pickled with the client.

    Raises:
        JobError: An argument cannot be used.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        api_key_file: str | None = None,
        timeout_s: float = 60.0,
        temperature: float | None = None,
        max_tokens: int | None = None,
        structured: StructuredOutput = "auto",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        _check(model, base_url, timeout_s, structured)
        self.model = model
        self.base_url = base_url or OPENAI_URL
        self.api_key_env, self.api_key_file = api_key_env, api_key_file
        self.timeout_s = timeout_s
        self._settings = (temperature, max_tokens)
        self._extra = dict(extra or {})
        self._dialect = _DIALECTS[structured]
        self._lock = threading.Lock()
        self._sdk: Any = None

    def __repr__(self) -> str:
        return f"OpenAIClient(model={self.model!r}, host={_host(self.base_url)!r}, timeout_s={self.timeout_s:g})"

    def __getstate__(self) -> dict[str, Any]:
        # The SDK's client holds sockets and the key; a copy makes its own, on its own machine.
        return {name: value for name, value in self.__dict__.items() if name not in ("_sdk", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _sdk=None, _lock=threading.Lock())

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the model's answer; see `LLMClient.complete`.

        A refusal is a completion with `finish="refusal"`; a reply cut off at the token limit has
        `finish="length"` and may be empty.

        Raises:
            LLMUnavailable: Time-out, broken connection, 408, 409, 429, 5xx, or a body without text.
            LLMRejected: Any other error status, a spent quota, or no key for OpenAI's own server.
        """
        asked = self._asked()
        if not asked.secrets and asked.host == _host(OPENAI_URL):
            raise asked.no_key()
        sdk = self._connected(asked)  # before the clock starts: the first one takes an import
        deadline = time.monotonic() + self.timeout_s
        dialect = self._dialect
        while True:
            request = self._request(prompt, schema, dialect)
            outcome = self._post(sdk, request, asked, deadline)
            if not isinstance(outcome, _Complaint):
                break
            weaker = dialect.after(outcome.text, request)
            if weaker is None:
                raise outcome.error
            dialect = weaker
        # Learnt only now: what the server said of a request it still refuses is no lesson.
        self._dialect = dialect
        return outcome

    def _asked(self) -> Asked:
        if self.api_key_file:
            key, source = key_in(self.api_key_file), str(Path(self.api_key_file).absolute())
        else:
            key, source = os.environ.get(self.api_key_env, "").strip(), self.api_key_env
        return Asked(_host(self.base_url), self.model, source, (key,) if key else ())

    def _request(self, prompt: Prompt, schema: JsonSchema | None, dialect: Dialect) -> dict[str, Any]:
        temperature, max_tokens = self._settings
        wanted: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": _encodable(m.content)} for m in prompt.messages],
            "response_format": dialect.response_format(schema),
            "temperature": temperature if dialect.temperature else None,
        }
        if dialect.limit:
            wanted[dialect.limit] = max_tokens
        return {name: value for name, value in wanted.items() if value is not None}

    def _post(self, sdk: Any, request: Mapping[str, Any], asked: Asked, deadline: float) -> Completion | _Complaint:
        begun = time.monotonic()
        left = deadline - begun
        try:
            result = within(left, functools.partial(self._send, sdk, request, asked, left))
        except DeadlinePassed:
            result = asked.too_late(self.timeout_s)
        # Raised out here, where no exception of the SDK (it holds the headers) becomes its context.
        if isinstance(result, LLMError):
            raise result
        if isinstance(result, _Complaint):
            return result
        problem = ""
        try:
            return read_reply(result, self.model, time.monotonic() - begun)
        except BadReply as error:
            problem = str(error)
        raise asked.unusable(problem)

    def _send(
        self, sdk: Any, request: Mapping[str, Any], asked: Asked, seconds: float
    ) -> bytes | _Complaint | LLMError:
        import openai

        from automl_gpt_ray.llm.bounded_body import MAX_BYTES, BodyTooLarge

        timeout = openai.Timeout(seconds, connect=min(seconds, MAX_CONNECT_S))
        create = sdk.chat.completions.with_raw_response.create
        try:
            response = create(**request, extra_body=self._extra, timeout=timeout)
            return bytes(response.http_response.content)
        except openai.APITimeoutError:
            return asked.too_late(self.timeout_s)
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, BodyTooLarge):
                return asked.too_large(MAX_BYTES / 2**20)
            return asked.unreachable(str(error.__cause__ or error))
        except openai.APIStatusError as error:
            return _refusal(error, asked)

    def _connected(self, asked: Asked) -> Any:
        import openai

        from automl_gpt_ray.llm.bounded_body import bounded

        key = asked.secrets[0] if asked.secrets else PLACEHOLDER_KEY
        with self._lock:
            if self._sdk is None or self._sdk.api_key != key:
                self._sdk = openai.OpenAI(
                    api_key=key,
                    base_url=self.base_url,
                    max_retries=0,
                    # Unpacking could make a small body large after the cap has passed it.
                    default_headers={"Accept-Encoding": "identity"},
                    http_client=openai.DefaultHttpxClient(event_hooks={"response": [bounded()]}),
                )
            return self._sdk


class _Complaint:
    """A status that may be about how we asked: the error to raise unless another dialect helps."""

    def __init__(self, text: str, error: LLMError) -> None:
        self.text = text
        self.error = error


def _refusal(error: Any, asked: Asked) -> _Complaint | LLMError:
    body = decoded(error.response.text)
    refused = asked.refused(error.status_code, body, error.response.headers)
    if error.status_code in (400, 422) and not isinstance(refused, LLMUnavailable):
        # Some servers name the parameter beside the message, not in it.
        return _Complaint(f"{message_of(body)} {error.param or ''} {error.code or ''}", refused)
    return refused


def _encodable(text: str) -> str:
    """Replace lone surrogates (from broken file names or model replies), which no request can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _host(url: str) -> str:
    # Not `netloc`, which may hold a user's name and password.
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _check(model: str, base_url: str | None, timeout_s: float, structured: str) -> None:
    problems = []
    if not model.strip():
        problems.append(Problem("llm.model", "must name a model", shown(model)))
    if base_url is not None and not _is_web(base_url):
        remedy = "write it out, as in `http://localhost:8000/v1`"
        problems.append(Problem("llm.base_url", "must be an http:// or https:// URL", shown(redact(base_url)), remedy))
    if not timeout_s > 0:
        problems.append(Problem("llm.timeout_s", "must be > 0 seconds", shown(timeout_s)))
    if structured not in _DIALECTS:
        problems.append(Problem("llm.structured", f"must be one of {', '.join(_DIALECTS)}", shown(structured)))
    if problems:
        raise JobError("OpenAIClient", problems)


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
