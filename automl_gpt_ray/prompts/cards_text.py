"""Model Card, Data Card and Request as the lines that stand in a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.prompts.detail import FULL, Detail
from automl_gpt_ray.prompts.quoting import quoted
from automl_gpt_ray.space import describe

MAX_DESCRIPTION, MAX_REQUESTS = 300, 4000

_N = TypeVar("_N", int, float)


def model_card_lines(brief: Brief, detail: Detail = FULL) -> str:
    """Return the Model Card: name, structure, description and every hyperparameter with its range."""
    return "\n".join(_model_lines(brief, detail))


def data_card_lines(brief: Brief, detail: Detail = FULL) -> str:
    """Return the Data Card: name, input type, label space, metric, size and columns."""
    if brief.data is None:
        return "(not given)"
    return "\n".join(data_lines(brief.data, detail))


def request_lines(brief: Brief, detail: Detail = FULL) -> str:
    """Return the evaluation metrics, constraints and additional requests."""
    verb = "maximise" if brief.objective.mode == "max" else "minimise"
    meaning = f" ({brief.metric.description})" if brief.metric else ""
    lines = [
        f"objective: {verb} {quoted(brief.objective.metric)}{meaning} on validation data",
        f"full training: {brief.max_steps} steps; one step: {quoted(brief.step)}",
    ]
    others = [m if isinstance(m, str) else m.name for m in brief.request.metrics[1:]]
    if others:
        lines.append(f"also reported: {quoted(_capped(others, detail.columns), detail.text)}")
    if limits := brief.request.constraints.stated():
        lines.append(f"constraints: {quoted(limits)}")
    # The user's own words are the last to be cut.
    limit = MAX_REQUESTS if detail.text == FULL.text else 4 * detail.text
    if brief.request.additional:
        lines.append(f"additional requests: {quoted(brief.request.additional, limit)}")
    return "\n".join(lines)


def _model_lines(brief: Brief, detail: Detail) -> Iterator[str]:
    card = brief.model
    if card is None:
        yield "(no card: a trainable with the hyperparameters below)"
    else:
        yield f"name: {quoted(card.name)}"
        yield f"structure: {quoted(card.structure, detail.text)}"
        yield f"description: {quoted(card.description, detail.text)}"
    hot = set(card.hot) if card else set()
    for group, parameters in brief.groups.items():
        yield f"{group}:"
        for name, parameter in parameters.items():
            note = "; may change while training" if name in hot else ""
            about = (
                f" ({quoted(parameter.description, min(MAX_DESCRIPTION, detail.text))})"
                if parameter.description
                else ""
            )
            yield f"  {quoted(name)}: {quoted(describe(parameter))[1:-1]}{note}{about}"


def data_lines(card: DataCard, detail: Detail = FULL) -> Iterator[str]:
    """Yield the lines of a Data Card."""
    yield f"name: {quoted(card.name)}"
    yield f"task: {card.task}"
    yield f"input type: {card.input_type}"
    yield f"label space: {quoted(_labels(card, detail.classes), detail.text)}"
    yield f"evaluation metric: {card.metric}"
    if card.size:
        yield f"size: {quoted(_first(card.size, detail.columns), detail.text)}"
    if card.image_shape:
        yield f"image shape (height, width, channels): {quoted(card.image_shape)}"
    if card.label_balance:
        balance = {n: round(share, 4) for n, share in _first(card.label_balance, detail.classes).items()}
        yield f"label balance: {quoted(balance, detail.text)}"
    if card.columns:
        columns = [_column(c) for c in card.columns[: detail.columns]]
        yield f"columns ({len(card.columns)}): {quoted(columns, detail.text)}"
    if card.groups:
        yield f"groups over which a model is compared: {quoted(card.groups, detail.text)}"
    yield f"description: {quoted(card.description, detail.text)}"


def _labels(card: DataCard, most: int) -> Any:
    labels = card.label_space
    if labels.classes:
        return _capped(labels.names, most)
    return {k: v for k, v in (("low", labels.low), ("high", labels.high)) if v is not None} or "numbers"


def _column(column: Any) -> str:
    missing = f", {column.missing:.1%} missing" if column.missing else ""
    distinct = f", {column.distinct} values" if column.distinct is not None else ""
    return f"{column.name} ({column.type}{distinct}{missing})"


def _capped(names: list[str], most: int) -> list[str]:
    more = len(names) - most
    return names[:most] + ([f"and {more} more"] if more > 0 else [])


def _first(values: Mapping[str, _N], most: int) -> dict[str, _N]:
    return dict(islice(values.items(), most))
