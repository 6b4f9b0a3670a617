"""The prompt that asks which model trains on which task. Pure: equal arguments give equal text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from automl_gpt_ray.assignment.choice import Candidate, OpenTask
from automl_gpt_ray.cards import ModelCard
from automl_gpt_ray.prompts.cards_text import data_lines
from automl_gpt_ray.prompts.detail import Detail
from automl_gpt_ray.prompts.paragraph import template
from automl_gpt_ray.prompts.quoting import escaped, quoted
from automl_gpt_ray.prompts.schema import object_of
from automl_gpt_ray.records import Message, Prompt

MAX_CANDIDATES = 12
"""Of a task, the best by the rules."""

BRIEFLY = Detail(columns=12, classes=12, text=500)

Open = Mapping[str, Sequence[Candidate]]
"""Task to the models that may train on it, best by the rules first."""


def matching_prompt(tasks: Sequence[OpenTask], candidates: Open, cards: Mapping[str, ModelCard]) -> Prompt:
    """Return the prompt.

    Args:
        tasks: At least one, each with at least one candidate.
        candidates: Of each task; the first twelve are shown.
        cards: Name to Model Card.
    """
    shown = {task.name: names_of(candidates[task.name]) for task in tasks}
    used = sorted({name for names in shown.values() for name in names})
    text = template("matching").render(
        tasks="\n".join(line for task in tasks for line in _task(task, shown[task.name])),
        models="\n".join(_model(cards[name]) for name in used),
        schema=escaped(json.dumps(matching_schema(tasks, candidates), ensure_ascii=False)),
    )
    return Prompt((Message("system", template("matching_system").render()), Message("user", text)))


def matching_schema(tasks: Sequence[OpenTask], candidates: Open) -> dict[str, Any]:
    """Return the schema of the reply: only registered names."""
    names = sorted({name for task in tasks for name in names_of(candidates[task.name])})
    alternative = object_of({"model": {"enum": names}, "reason": {"type": "string"}})
    item = object_of(
        {
            "task": {"enum": [task.name for task in tasks]},
            "model": {"enum": names},
            "reason": {"type": "string"},
            "alternatives": {"type": "array", "items": alternative, "maxItems": 2},
        }
    )
    items = {"type": "array", "items": item, "minItems": len(tasks), "maxItems": len(tasks)}
    return object_of({"assignments": items})


def names_of(candidates: Sequence[Candidate]) -> list[str]:
    """Return the names that are shown."""
    return [candidate.model for candidate in candidates[:MAX_CANDIDATES]]


def _task(task: OpenTask, names: Sequence[str]) -> list[str]:
    request = task.request
    metrics = [m if isinstance(m, str) else m.name for m in request.metrics] or [task.data.metric]
    wanted = {"metrics": metrics, "limits": request.constraints.stated(), "additional": request.additional}
    return [
        f"task {quoted(task.name)}:",
        *(f"  {line}" for line in data_lines(task.data, BRIEFLY)),
        f"  request: {quoted({name: value for name, value in wanted.items() if value}, BRIEFLY.text)}",
        f"  GPUs of a trial: {task.gpus:g}",
        f"  candidates: {quoted(list(names))}",
    ]


def _model(card: ModelCard) -> str:
    told = {"structure": card.structure, "description": card.description, "full training": f"{card.max_steps} steps"}
    known = card.suits.model_dump(exclude_defaults=True)
    return f"model {quoted(card.name)}: {quoted({**told, **({'suits': known} if known else {})}, BRIEFLY.text)}"
