"""The rules of assignment: what a model cannot do, and how well it suits a task otherwise. Pure.

Notation, for a task and a model that no rule refuses:
    words   cosine of what both cards say, by TF-IDF of letter groups (`tables` meets `tabular`), in [0, 1]
    size    1 where the number of training examples is one the card suits, less by .5 a decade away from it
    score   words + size, in [0, 2]; equal scores go by the name
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from automl_gpt_ray.assignment.choice import Assignment, Candidate, OpenTask
from automl_gpt_ray.cards import ModelCard
from automl_gpt_ray.experience.similarity import TfIdf, text_of

Usable = Callable[[ModelCard], str]
"""Why a card's trainable cannot be used; empty where it can."""

DECADE = 0.5


def refusals(card: ModelCard, task: OpenTask) -> list[str]:
    """Return the rules that forbid `card` for `task`; empty where it may be tried."""
    data, suits = task.data, card.suits
    found = []
    if data.input_type not in card.input_types:
        found.append(f"takes {' or '.join(card.input_types)}, the data is {data.input_type}")
    if data.task not in card.tasks:
        found.append(f"serves {' or '.join(card.tasks)}, the task is {data.task}")
    classes = len(data.label_space.classes)
    if suits.max_classes is not None and classes > suits.max_classes:
        found.append(f"tells at most {suits.max_classes} classes apart, the data has {classes}")
    if suits.gpu and not task.gpus:
        found.append("wants a GPU, a trial gets none (`resources.gpu`)")
    limits = task.request.constraints.costs()
    for name, limit in limits.items():
        known = getattr(suits, name, None)
        if known is not None and known > limit:
            found.append(f"takes {known:g} {name}, the Request allows {limit:g}")
    return found


def admitted(
    task: OpenTask, cards: Mapping[str, ModelCard], usable: Usable
) -> tuple[list[Candidate], tuple[Candidate, ...]]:
    """Return the models that may train on a task, best first, and those that may not with the rule that says so."""
    rejected, open_to = [], {}
    for name, card in cards.items():
        reasons = refusals(card, task)
        # Importing a trainable may take seconds: only where nothing else speaks against it.
        if not reasons and (missing := usable(card)):
            reasons = [missing]
        if reasons:
            rejected.append(Candidate(name, "; ".join(reasons)))
        else:
            open_to[name] = card
    return _ranked(task, open_to), tuple(sorted(rejected, key=lambda c: c.model))


def by_rules(
    task: OpenTask, candidates: Sequence[Candidate], rejected: Sequence[Candidate], problem: str = ""
) -> Assignment:
    """Return the assignment that the rules come to; without a candidate its model is empty.

    Args:
        task: The task.
        candidates: Those that may train on it, best first.
        rejected: Those that may not.
        problem: Why no language model chose.
    """
    others = tuple(rejected)
    if not candidates:
        return Assignment(task.name, "", "no registered model can train on it", "rules", (), others, problem)
    first, rest = candidates[0], tuple(candidates[1:])
    return Assignment(task.name, first.model, first.reason, "rules", rest, others, problem)


def _ranked(task: OpenTask, cards: Mapping[str, ModelCard]) -> list[Candidate]:
    names = sorted(cards)
    if not names:
        return []
    rows = TfIdf(letters=True).encode([_task_text(task), *(_card_text(cards[name]) for name in names)])
    words = {name: float(rows[0] @ row) for name, row in zip(names, rows[1:], strict=True)}
    found = [_candidate(task, cards[name], words[name]) for name in names]
    return sorted(found, key=lambda c: (-round(c.score, 9), c.model))


def _candidate(task: OpenTask, card: ModelCard, words: float) -> Candidate:
    examples = task.data.size.get("train")
    size = 1.0 if examples is None else max(0.0, 1.0 - DECADE * _decades_off(examples, card))
    told = f"its words are {words:.0%} like the task's"
    if examples is not None:
        told += f"; {examples} examples {_suit(examples, card)}"
    return Candidate(card.name, told, words + size)


def _decades_off(examples: int, card: ModelCard) -> float:
    low, high = card.suits.min_examples, card.suits.max_examples
    if low is not None and examples < low:
        return math.log10(low / examples)
    return math.log10(examples / high) if high is not None and examples > high else 0.0


def _suit(examples: int, card: ModelCard) -> str:
    low, high = card.suits.min_examples, card.suits.max_examples
    if low is not None and examples < low:
        return f"are fewer than the {low} it wants"
    if high is not None and examples > high:
        return f"are more than the {high} it is quick enough for"
    return "suit it"


def _task_text(task: OpenTask) -> str:
    return f"{text_of(task.data)} {task.request.additional}"


def _card_text(card: ModelCard) -> str:
    parts = (card.name.replace("_", " "), card.structure, card.description, *card.tasks, *card.input_types)
    return " ".join(parts)
