"""Our cards from model cards and data set cards of the Hugging Face hub.

Maps the hub's names of tasks to ours. Nothing is fetched: a path to a README.md is all it takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from automl_gpt_ray.cards.data_card import DataCard, InputType, LabelSpace, Task
from automl_gpt_ray.cards.hub_readme import HubCard, read_hub_card
from automl_gpt_ray.cards.model_card import ModelCard
from automl_gpt_ray.errors import CardError, Problem
from automl_gpt_ray.yaml_file import build

# Hub task -> our task, input type, default metric. https://huggingface.co/tasks
_TASKS: dict[str, tuple[Task, InputType, str]] = {
    "image-classification": ("classification", "image", "accuracy"),
    "zero-shot-image-classification": ("classification", "image", "accuracy"),
    "object-detection": ("object_detection", "image", "map"),
    "zero-shot-object-detection": ("object_detection", "image", "map"),
    "text-classification": ("classification", "text", "accuracy"),
    "zero-shot-classification": ("classification", "text", "accuracy"),
    "sentence-similarity": ("retrieval", "text_pair", "recall_at_20"),
    "text-retrieval": ("retrieval", "text_pair", "recall_at_20"),
    "text-ranking": ("retrieval", "text_pair", "recall_at_20"),
    "feature-extraction": ("retrieval", "text_pair", "recall_at_20"),
    "question-answering": ("question_answering", "text_pair", "accuracy"),
    "table-question-answering": ("question_answering", "text_pair", "accuracy"),
    "tabular-classification": ("classification", "tabular", "accuracy"),
    "tabular-regression": ("regression", "tabular", "rmse"),
    "audio-classification": ("classification", "audio", "accuracy"),
}


def data_card_from_hub(path: str | Path) -> DataCard:
    """Return a Data Card from a hub data set's README: its task, classes, splits and words.

    How to load it stays open: a hub README does not say where the files lie.

    Raises:
        CardError: As `read_hub_card`; or no task that this package knows, or classes it does not list.
    """
    hub = read_hub_card(path)
    task, input_type, metric = _known_task(hub)
    values = {
        "name": (hub.title or Path(path).resolve().parent.name)[:200],
        "task": task,
        "input_type": input_type,
        "label_space": LabelSpace(column=hub.label_column, classes=list(hub.class_names)),
        "metric": metric,
        "size": {split: count for split, count in hub.splits.items() if count > 0},
        "description": hub.description,
        "source": hub.source,
        "licence": hub.license,
    }
    return build(DataCard, values, str(path), CardError)


def model_facts_from_hub(path: str | Path) -> dict[str, Any]:
    """Return what a hub model's README says, under the names of a `ModelCard`'s fields.

    Keys: `name`, `description`, `tasks`, `input_types`, `licence`, `source`. Facts it does not state
    are absent. A hub card states no hyperparameter ranges, so this is no Model Card.

    Raises:
        CardError: As `read_hub_card`.
    """
    hub = read_hub_card(path)
    known = [_TASKS[name] for name in hub.tasks if name in _TASKS]
    facts = {
        "name": hub.title[:200],
        "description": hub.description,
        "tasks": list(dict.fromkeys(task for task, _, _ in known)),
        "input_types": list(dict.fromkeys(kind for _, kind, _ in known)),
        "licence": hub.license,
        "source": hub.source,
    }
    return {key: value for key, value in facts.items() if value}


def model_card_from_hub(path: str | Path, template: ModelCard) -> ModelCard:
    """Return `template` with the facts of a hub model's README over its own.

    The search space, structure and trainable stay the template's.

    Raises:
        CardError: As `read_hub_card`; or the hub model serves no task of the template.
    """
    facts = model_facts_from_hub(path)
    tasks = facts.get("tasks", template.tasks)
    if not set(tasks) & set(template.tasks):
        rule = f"must serve a task of the template `{template.name}` ({', '.join(template.tasks)})"
        raise CardError(str(path), [Problem("pipeline_tag", rule, ", ".join(tasks), "use another template")])
    return template.model_copy(update=facts)


def _known_task(hub: HubCard) -> tuple[Task, InputType, str]:
    for name in hub.tasks:
        if name in _TASKS:
            return _TASKS[name]
    got = ", ".join(hub.tasks) or "none"
    remedy = f"known: {', '.join(f'`{name}`' for name in _TASKS)}"
    raise CardError(hub.source, [Problem("task_categories", "must name a task this package knows", got, remedy)])
