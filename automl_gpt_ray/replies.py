"""What a language model wrote, turned into checked values or into a stated error.

Pure. The text is data: it is parsed as JSON, nothing in it is executed, imported or used as a path,
and only values that the search space and the schema allow leave this file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import shown
from automl_gpt_ray.parameters import ConstantParameter
from automl_gpt_ray.records import LogPoint, PredictedLog, Scalar

MAX_REPLY = 200_000
MAX_REASON = 500
MAX_PROPOSALS = 64
MAX_PROBLEMS = 24
MAX_POINTS = 64
MAX_BRACES = 32
SOURCE = "language"

FaultKind = Literal["empty", "too_long", "no_json", "wrong_shape", "no_usable_proposal", "refusal", "cut_off"]


@dataclass(frozen=True)
class Draft:
    """One setting a model proposed, checked, before it has an identity in the run."""

    config: Mapping[str, Scalar]
    reason: str
    predicted_log: PredictedLog | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drafts:
    """The usable proposals of a reply, and what was wrong with the others."""

    drafts: tuple[Draft, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReplyError:
    """A reply from which nothing can be used. A value, not an exception: it is an expected outcome."""

    kind: FaultKind
    problems: tuple[str, ...]

    def after(self, finish: str) -> ReplyError:
        """Return the same, named after how the reply ended (`Completion.finish`) where that explains it."""
        if finish == "refusal":
            return ReplyError("refusal", ("the model refused to answer", *self.problems))
        if finish == "length":
            return ReplyError("cut_off", ("the reply was cut off: answer more briefly", *self.problems))
        return self

    def __str__(self) -> str:
        return f"{self.kind}: {'; '.join(self.problems)}"


def parse_proposals(text: str, brief: Brief, taken: frozenset[str] = frozenset()) -> Drafts | ReplyError:
    """Return the usable proposals in `text`.

    Args:
        text: The model's reply.
        brief: What was asked about.
        taken: `SearchSpace.key`s of settings that already ran or wait; proposed again they are refused.
    """
    value = extract_json(text, "proposals")
    if isinstance(value, ReplyError):
        return value
    items = _items(value)
    if not items:
        rule = 'must be an object with a non-empty list "proposals"'
        return ReplyError("wrong_shape", (f"the reply {rule}, got {shown(value)}",))
    drafts: list[Draft] = []
    problems: list[str] = []
    seen = set(taken)
    for index, item in enumerate(items[:MAX_PROPOSALS]):
        draft = _draft(item, brief)
        if isinstance(draft, Draft) and brief.space.key(draft.config) in seen:
            draft = ["this setting already ran, waits to run, or stands twice in the reply: propose another"]
        if isinstance(draft, Draft):
            drafts.append(draft)
            seen.add(brief.space.key(draft.config))
        else:
            problems += [f"proposals[{index}]: {problem}" for problem in draft]
    if len(items) > MAX_PROPOSALS:
        problems.insert(0, f"{len(items)} proposals are too many: only the first {MAX_PROPOSALS} were read")
    if not drafts:
        return ReplyError("no_usable_proposal", _stated(problems))
    return Drafts(tuple(drafts), _stated(problems))


def extract_json(text: str, key: str) -> Any | ReplyError:
    """Return the JSON value in a reply, found behind reasoning, prose or a code fence.

    Args:
        text: The model's reply.
        key: Of the object that was asked for: where a reply holds several values, the first with it is meant.
    """
    if len(text) > MAX_REPLY:
        return ReplyError("too_long", (f"the reply must be under {MAX_REPLY} characters, got {len(text)}",))
    body = _without_reasoning(text)
    if not body:
        return ReplyError("empty", ("the reply holds no answer",))
    candidates, others = [text, *_candidates(body)], []
    for value in chain(map(_decoded, candidates), map(_decoded, map(_without_slack, candidates))):
        if isinstance(value, dict) and key in value:
            return value
        others += [value] if isinstance(value, dict | list) else []
    for value in _embedded(body):
        if isinstance(value, dict) and key in value:
            return value
    # Many leave the object out, and some the list too.
    return others[0] if others else ReplyError("no_json", (f"the reply must be one JSON object, got {shown(body)}",))


def _without_slack(text: str) -> str:
    """Return a text without what JSON forbids and models write: comments, and commas before a bracket."""
    for slack in (r"//[^\n]*+", r",(?=\s*+[}\]])"):
        text = re.sub(f"({_TEXT})|{slack}", r"\1", text, flags=re.DOTALL)
    return text


def _without_reasoning(text: str) -> str:
    body = re.sub(r"<think(?:ing)?>.*?(</think(?:ing)?>|\Z)", "", text, flags=re.DOTALL)
    # Some servers put the opening tag into the prompt, so that only the closing one is in the reply.
    return re.split(r"</think(?:ing)?>", body)[-1].strip()


def _candidates(body: str) -> Iterator[str]:
    yield body
    # No `\s*` before the lazy part: the two would share out a run of spaces in quadratic time.
    yield from re.findall(r"```(?:json[5c]?)?(.*?)```", body, flags=re.DOTALL)
    start, end = body.find("{"), body.rfind("}")
    if 0 <= start < end:
        yield body[start : end + 1]


def _embedded(body: str) -> Iterator[Any]:
    """Yield the values that begin at one of the first braces: prose has braces of its own."""
    start = body.find("{")
    for _ in range(MAX_BRACES):
        if start < 0:
            return
        with suppress(ValueError, RecursionError):
            yield _DECODER.raw_decode(body, start)[0]
        start = body.find("{", start + 1)


def _decoded(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


# What is within a text stays as it is; one without an end reaches to that of the reply, so that it is looked at once.
_TEXT = r'"(?:[^"\\]|\\.)*+(?:"|\Z)'

# Line breaks within a text are what models write.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, strict=False)


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict) and isinstance(value.get("proposals"), list):
        return list(value["proposals"])
    if isinstance(value, list):
        return value
    # A model asked for one setting tends to leave the list out.
    return [value] if isinstance(value, dict) and {"reason", "hyperparameters"} & value.keys() else []


def _draft(item: Any, brief: Brief) -> Draft | list[str]:
    if not isinstance(item, dict):
        return [f"must be an object, got {shown(item)}"]
    values, problems = _flat(item, brief)
    values = _without_inactive(values, brief)
    complete = brief.space.build(lambda name, p: values.get(name, p.start))
    missing = [n for n in complete if n not in values and not isinstance(brief.space.parameters[n], ConstantParameter)]
    notes = [f"{name} was not given: the default was used" for name in missing]
    # A name is the model's own text: of any length, with any character.
    problems += [one_line(str(p)) for p in brief.space.problems({**complete, **values})]
    reason = item.get("reason")
    if problems:
        return problems
    if not any(name in values for name in brief.space.searched):
        return ["must give at least one hyperparameter"]
    log, note = _log(item.get("predicted_log"), brief)
    text = (one_line(reason) if isinstance(reason, str) else "") or "no reason was given"
    return Draft(brief.space.validate(complete), text, log, (*notes, *([note] if note else [])))


def _flat(item: dict[str, Any], brief: Brief) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems = []
    for group in brief.groups:
        part = item.get(group)
        if part is None:
            continue
        if isinstance(part, dict):
            values.update(part)
        else:
            problems.append(f"`{group}` must be an object, got {shown(part)}")
    unknown = [name for name in values if name not in brief.space]
    if len(unknown) > MAX_PROBLEMS:
        problems.append(f"{len(unknown)} unknown hyperparameters, such as {shown(unknown[0])}")
        values = {name: value for name, value in values.items() if name in brief.space}
    return values, problems


def _without_inactive(values: dict[str, Any], brief: Brief) -> dict[str, Any]:
    # Strict schemas make a model name every hyperparameter, so null stands for "does not exist here".
    space = brief.space
    known = {n: v for n, v in values.items() if n in space and not isinstance(v, dict | list)}
    null = {n for n, v in known.items() if v is None and space.parameters[n].fault(None)}
    # A parent that was not named, a constant for one, has its default.
    active = space.build(lambda name, p: known[name] if name in known and name not in null else p.start)
    inactive = {n for n in known if n not in active}
    return {n: v for n, v in values.items() if n not in inactive | null}


def _log(value: Any, brief: Brief) -> tuple[PredictedLog | None, str]:
    """Return the predicted log, or None and why there is none; a bad log does not spoil a setting."""
    if value is None:
        return None, "no predicted log was given"
    if not isinstance(value, list) or not value:
        return None, f"the predicted log must be a non-empty list, got {shown(value)}"
    if len(value) > MAX_POINTS:  # thinned, not cut: what counts is the end
        value = [value[round(i * (len(value) - 1) / (MAX_POINTS - 1))] for i in range(MAX_POINTS)]
    points = [_point(item, brief) for item in value]
    faults = [p for p in points if isinstance(p, str)]
    if faults:
        return None, f"the predicted log was ignored: {faults[0]}"
    good = sorted((p for p in points if isinstance(p, LogPoint)), key=lambda p: p.step)
    if len({p.step for p in good}) != len(good):
        return None, "the predicted log was ignored: a step stands twice"
    return PredictedLog(brief.objective.metric, tuple(good), SOURCE), ""


def _point(item: Any, brief: Brief) -> LogPoint | str:
    if not isinstance(item, dict):
        return f"each point must be an object, got {shown(item)}"
    numbers = [finite(item.get(key)) for key in ("step", "value", "low", "high")]
    if None in numbers:
        return f"step, value, low and high must be finite numbers, got {shown(item)}"
    step, value, low, high = (x for x in numbers if x is not None)
    if step != int(step) or not 1 <= step <= brief.max_steps:
        return f"step must be a whole number from 1 to {brief.max_steps}, got {shown(item.get('step'))}"
    if not low <= value <= high:
        return f"low <= value <= high must hold, got {shown(item)}"
    metric = brief.metric
    if metric and not metric.low <= value <= metric.high:
        return f"{metric.name} must lie in [{metric.low:g}, {metric.high:g}], got {value:g}"
    if metric:
        low, high = max(low, metric.low), min(high, metric.high)
    return LogPoint(int(step), value, low, high)


def finite(value: Any) -> float | None:
    """Return a JSON number as a finite float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON allows whole numbers of hundreds of digits
        return None


def _stated(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - MAX_PROBLEMS
    return (*problems[:MAX_PROBLEMS], f"and {more} more problems") if more > 0 else tuple(problems)


def one_line(text: str) -> str:
    """Return the beginning of a text on one line, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_REASON]).split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"
