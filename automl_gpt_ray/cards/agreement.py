"""Whether the cards of a job agree: what one asks for, the other must have."""

from __future__ import annotations

from automl_gpt_ray.cards.data_card import DataCard
from automl_gpt_ray.cards.model_card import ModelCard
from automl_gpt_ray.cards.request import Request
from automl_gpt_ray.errors import Problem, did_you_mean, shown
from automl_gpt_ray.metrics import GAPS, METRICS, of_task

_OWN = "automl_gpt_ray.training."


def mismatches(data: DataCard, model: ModelCard) -> list[Problem]:
    """Return why a model cannot train on the data."""
    problems = []
    if data.task not in model.tasks:
        rule = f"must serve the Data Card's task `{data.task}`"
        problems.append(Problem("model_card", rule, f"tasks {model.tasks}", "choose another Model Card"))
    if data.input_type not in model.input_types:
        rule = f"must take the Data Card's input type `{data.input_type}`"
        problems.append(Problem("model_card", rule, f"input types {model.input_types}", "choose another Model Card"))
    return problems


def ungrouped(data: DataCard, request: Request) -> list[Problem]:
    """Return what is wrong with limits on gaps between groups: they are measured only where the card has groups."""
    measured = {f"{gap}_{group}" for gap in GAPS[data.task == "regression"] for group in data.groups}
    wrong = [
        name
        for name in request.constraints.metrics
        if name.startswith(tuple(f"{gap}_" for kind in GAPS for gap in kind)) and name not in measured
    ]
    rule = f"must be one of those measured here ({', '.join(sorted(measured)) or 'none'})"
    remedy = "name its column in the Data Card's `groups`"
    return [Problem(f"request.constraints.metrics.{name}", rule, shown(name), remedy) for name in wrong]


def unreported(data: DataCard, model: ModelCard, request: Request) -> list[Problem]:
    """Return which metrics are asked for that no trial will report; what another's trainable reports is not known."""
    known = of_task(data.task, len(data.label_space.classes))
    if not model.trainable.startswith(_OWN) or not known:
        return []
    asked = [metric if isinstance(metric, str) else metric.name for metric in request.metrics]
    field = "request.metrics" if asked else "data_card: metric"
    rule = f"must be among those that are measured for this data ({', '.join(known)})"
    # Detection and retrieval report more than `METRICS` holds.
    more = data.task in ("object_detection", "retrieval")
    wrong = [n for n in asked or [data.metric] if n not in known and (n in METRICS or not more)]
    return [Problem(field, rule, shown(name), did_you_mean(name, known)) for name in wrong]


def bundled(data: DataCard, path: str | None) -> list[Problem]:
    """Return what is wrong with a job's `path` to the data: none leads to what comes with a library."""
    if path is None or data.load is None or data.load.format != "sklearn":
        return []
    rule = f"cannot be given, for `{data.name}` comes with scikit-learn"
    return [Problem("data.path", rule, path, "leave it out, or take a Data Card that loads files")]
