"""A client that keeps every answer on disk, and can answer from there without a server.

One JSON file a request, named after the prompt and the schema (not the model, so that a recording
replays under any) and after which time this request was made, for the same question asked twice
may have had two answers. Knows no server and no run; keys are redacted on the way to disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, final

from automl_gpt_ray.errors import JournalError, LLMRejected
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.records import Completion, JsonSchema, Prompt, Usage

RecordMode = Literal["record", "replay", "auto"]
FORMAT = 1


@final
class Recorded:
    """An `LLMClient` that records another's answers and replays them; usable from several threads.

    The count of equal requests begins anew with each instance: a second one over the same folder
    replays from the first answer (`auto`, `replay`) or writes over it (`record`). Errors are not
    recorded.

    Args:
        client: Who answers what is not replayed; may be None in mode `replay` only.
        folder: Where the files are; made when the first answer is recorded.
        mode: `record` always asks, `replay` never does, `auto` asks for what is not there.

    Raises:
        ValueError: The mode is none of these, or needs a client and there is none.
    """

    def __init__(self, client: LLMClient | None, folder: str | os.PathLike[str], mode: RecordMode = "record") -> None:
        if mode not in ("record", "replay", "auto"):
            raise ValueError(f"`mode` must be record, replay or auto, got {mode!r}")
        if client is None and mode != "replay":
            raise ValueError(f"mode {mode!r} needs a client; without one use mode 'replay'")
        self._client = client if mode != "replay" else None
        self._reads = mode != "record"
        self._folder = Path(folder)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the recorded answer, or the client's after recording it.

        Raises:
            LLMRejected: There is no such recording and nobody to ask, or its file is damaged.
            LLMUnavailable: From the client.
            JournalError: The answer was given but cannot be written.
        """
        key = request_key(prompt, schema)
        recorded = self._replay(key) if self._reads else None
        if recorded is not None:
            return recorded
        if self._client is None:
            raise LLMRejected(
                f"request {key[:12]}… (time {self._counts[key] + 1}) is not in the recording {self._folder}."
                " The prompt or the schema has changed since: record again with mode `record` or `auto`."
            )
        completion = self._client.complete(prompt, schema)
        self._record(key, prompt, schema, completion)
        return completion

    def _replay(self, key: str) -> Completion | None:
        with self._lock:
            path = self._path(key, self._counts[key])
            completion = _read(path)
            if completion is not None:
                self._counts[key] += 1
            return completion

    def _record(self, key: str, prompt: Prompt, schema: JsonSchema | None, completion: Completion) -> None:
        content = {
            "format": FORMAT,
            "request": _request(prompt, schema),
            "completion": asdict(completion),
        }
        # Counted only now, so that a failed call leaves no hole at which a replay would stop.
        with self._lock:
            path = self._path(key, self._counts[key])
            _write(path, _clean(content, secrets_in()))
            self._counts[key] += 1

    def _path(self, key: str, earlier: int) -> Path:
        return self._folder / f"{key}-{earlier + 1:04d}.json"


def request_key(prompt: Prompt, schema: JsonSchema | None = None) -> str:
    """Return the SHA-256, in hexadecimal, of what is asked: equal requests have equal keys."""
    canonical = json.dumps(_request(prompt, schema), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _request(prompt: Prompt, schema: JsonSchema | None) -> dict[str, Any]:
    messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
    return {"messages": messages, "schema": None if schema is None else _plain(schema)}


def _plain(value: Any) -> Any:
    """Return a schema as JSON has it: a tuple and a list, any mapping and a dict, are the same."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _clean(value: Any, secrets: tuple[str, ...]) -> Any:
    # Value by value rather than the file's text, where escapes would hide a key from a pattern.
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {key: _clean(item, secrets) for key, item in value.items()}
    return [_clean(item, secrets) for item in value] if isinstance(value, list) else value


def _read(path: Path) -> Completion | None:
    try:
        return _completion(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
    raise LLMRejected(f"the recording {path} is damaged ({why}). Remove the file and record this request again.")


def _completion(content: Any) -> Completion:
    if content["format"] != FORMAT:
        raise ValueError(f"`format` must be {FORMAT}, got {content['format']!r}")
    told = dict(content["completion"])
    counts = dict(told.pop("usage"))
    estimated = counts.pop("estimated", False) is True
    usage = Usage(**{name: _typed(count, int) for name, count in counts.items()}, estimated=estimated)
    seconds = float(_typed(told.pop("seconds"), (int, float)))
    return Completion(**{name: _typed(text, str) for name, text in told.items()}, usage=usage, seconds=seconds)


def _typed(value: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"unexpected {type(value).__name__} value")
    return value


def _write(path: Path, content: Any) -> None:
    """Write whole or not at all, and not before the bytes are on the disk: a reply is paid for."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise JournalError(f"the model's reply cannot be recorded in {path.parent}: {error}") from error
