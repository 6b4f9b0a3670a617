"""The file of a run folder in which people leave feedback, one JSON line a remark.

Written by any process that sees the folder (`automl-gpt-ray feedback`), read by the driver of the run. A line is
one write at the end of the file, so that writers at once do not mix; each begins with a line break, so that what
a killed writer left does not spoil the next one's. What is read is somebody's: checked and capped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from automl_gpt_ray.errors import JobError, Problem, reason_of, shown
from automl_gpt_ray.feedback import MAX_TEXT, Feedback, Value
from automl_gpt_ray.hints import hint_problems
from automl_gpt_ray.space import SearchSpace

FILE_NAME = "feedback.jsonl"
MAX_LINE = 16_000
MAX_NAMES = 50
MAX_FILE = 4_000_000


def give(folder: Path, said: Feedback) -> Feedback:
    """Append a remark to the file in a run folder and return it with its id.

    Raises:
        JobError: It says nothing or too much, or the folder cannot be written.
    """
    if len(said.text) > MAX_TEXT:
        rule, got = f"must be at most {MAX_TEXT} characters", str(len(said.text))
        raise JobError("feedback", [Problem("TEXT", rule, got, "say it more briefly")])
    if not said.text.strip() and not said.has_hints:
        raise JobError("feedback", [Problem("TEXT", "must say something", "nothing", "write a sentence, or a hint")])
    made = Feedback(uuid.uuid4().hex[:8], said.text, said.fixed, said.narrowed, said.freed)
    values = {"id": made.id, "text": made.text, "fixed": dict(made.fixed), "narrowed": dict(made.narrowed)}
    line = json.dumps({**values, "freed": list(made.freed)}, ensure_ascii=False)
    try:
        file = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, f"\n{line}\n".encode("utf-8", "replace"))
        finally:
            os.close(file)
    except OSError as error:
        rule = f"must be a folder that can be written ({reason_of(error)})"
        raise JobError("feedback", [Problem("RUN_DIR", rule, str(folder))]) from None
    return made


def lines_from(path: Path, offset: int) -> tuple[list[bytes], int]:
    """Return the whole lines after `offset` and where they end; none where there is no file yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(MAX_FILE)
    except OSError:
        return [], offset
    end = content.rfind(b"\n") + 1
    if not end and len(content) == MAX_FILE:
        end = MAX_FILE  # a line that never ends is not waited for
    return [line for line in content[:end].split(b"\n") if line.strip()], offset + end


def read(line: bytes, space: SearchSpace) -> tuple[Feedback, tuple[str, ...]]:
    """Return the remark in a line and what was wrong with it; hints that are wrong are left out, all of them.

    Total: any bytes give a remark, perhaps an empty one.
    """
    mark = hashlib.blake2b(line, digest_size=4).hexdigest()
    if len(line) > MAX_LINE:
        return Feedback(mark), (f"a line of {len(line)} bytes is too long",)
    try:
        values = json.loads(line)
        said = _feedback(values, mark)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError) as error:
        return Feedback(mark), (f"not a remark: {type(error).__name__}: {shown(str(error))}",)
    problems = hint_problems(said, space)
    if problems:
        return Feedback(said.id, said.text), tuple(str(problem) for problem in problems[:MAX_NAMES])
    return said, ()


def _feedback(values: Any, mark: str) -> Feedback:
    text, given = values.get("text", ""), str(values.get("id", mark))
    if not isinstance(text, str):
        raise TypeError("`text` must be text")
    said = given if given.isalnum() and given.isascii() and len(given) <= 16 else mark
    fixed = {name: _value(value) for name, value in _names(values.get("fixed") or {})}
    narrowed = {name: _ends(ends) for name, ends in _names(values.get("narrowed") or {})}
    freed = tuple(name for name, _ in _names(dict.fromkeys(values.get("freed") or ())))
    return Feedback(said, _printable(text), fixed, narrowed, freed)


def _names(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if len(values) > MAX_NAMES:
        raise ValueError(f"{len(values)} names are too many")
    for name, value in values.items():
        if not isinstance(name, str):
            raise TypeError("a hyperparameter's name must be text")
        yield name, value


def _value(value: Any) -> Value:
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise TypeError("a hyperparameter's value must be a number, a text, true, false or null")


def _ends(ends: Any) -> tuple[float, float]:
    low, high = (float(end) for end in ends)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("a range must be of finite numbers")
    return low, high


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * MAX_TEXT]).split())[:MAX_TEXT]
