"""Model Card, Data Card and Request as the lines that stand in a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.prompts.quoting import quoted
from automl_gpt_ray.space import describe

MAX_COLUMNS = 40
MAX_CLASSES = 40


def model_card_lines(brief: Brief) -> str:
    """Return the Model Card: name, structure, description and every hyperparameter with its range."""
    return "\n".join(_model_lines(brief))


def data_card_lines(brief: Brief) -> str:
    """Return the Data Card: name, input type, label space, metric, size and columns."""
    if brief.data is None:
        return "(not given)"
    return "\n".join(_data_lines(brief.data))


def request_lines(brief: Brief) -> str:
    """Return the evaluation metrics, constraints and additional requests."""
    verb = "maximise" if brief.objective.mode == "max" else "minimise"
    meaning = f" ({brief.metric.description})" if brief.metric else ""
    lines = [
        f"objective: {verb} {quoted(brief.objective.metric)}{meaning} on validation data",
        f"full training: {brief.max_steps} steps; one step: {quoted(brief.step)}",
    ]
    others = [m if isinstance(m, str) else m.name for m in brief.request.metrics[1:]]
    if others:
        lines.append(f"also reported: {quoted(others)}")
    if limits := brief.request.constraints.stated():
        lines.append(f"constraints: {quoted(limits)}")
    if brief.request.additional:
        lines.append(f"additional requests: {quoted(brief.request.additional, 4000)}")
    return "\n".join(lines)


def _model_lines(brief: Brief) -> Iterator[str]:
    card = brief.model
    if card is None:
        yield "(no card: a trainable with the hyperparameters below)"
    else:
        yield f"name: {quoted(card.name)}"
        yield f"structure: {quoted(card.structure)}"
        yield f"description: {quoted(card.description)}"
    hot = set(card.hot) if card else set()
    for group, parameters in brief.groups.items():
        yield f"{group}:"
        for name, parameter in parameters.items():
            note = "; may change while training" if name in hot else ""
            about = f" ({quoted(parameter.description, 300)})" if parameter.description else ""
            yield f"  {quoted(name)}: {quoted(describe(parameter))[1:-1]}{note}{about}"


def _data_lines(card: DataCard) -> Iterator[str]:
    yield f"name: {quoted(card.name)}"
    yield f"task: {card.task}"
    yield f"input type: {card.input_type}"
    yield f"label space: {quoted(_labels(card))}"
    yield f"evaluation metric: {card.metric}"
    if card.size:
        yield f"size: {quoted(card.size)}"
    if card.image_shape:
        yield f"image shape (height, width, channels): {quoted(card.image_shape)}"
    if card.label_balance:
        yield f"label balance: {quoted(_first(card.label_balance))}"
    if card.columns:
        yield f"columns ({len(card.columns)}): {quoted([_column(c) for c in card.columns[:MAX_COLUMNS]])}"
    yield f"description: {quoted(card.description)}"


def _labels(card: DataCard) -> Any:
    labels = card.label_space
    if labels.classes:
        more = len(labels.classes) - MAX_CLASSES
        return labels.names[:MAX_CLASSES] + ([f"and {more} more"] if more > 0 else [])
    return {k: v for k, v in (("low", labels.low), ("high", labels.high)) if v is not None} or "numbers"


def _column(column: Any) -> str:
    missing = f", {column.missing:.1%} missing" if column.missing else ""
    distinct = f", {column.distinct} values" if column.distinct is not None else ""
    return f"{column.name} ({column.type}{distinct}{missing})"


def _first(balance: dict[str, float]) -> dict[str, float]:
    return {name: round(share, 4) for name, share in list(balance.items())[:MAX_CLASSES]}
