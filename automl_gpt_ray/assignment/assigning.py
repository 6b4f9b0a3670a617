"""Assigning: rules first, then the language model among what they admit; without one, the rules decide.

Prompt, reply and outcome are written down in this order, as everywhere. A reply that cannot be used gets one
repair; what is still without a model then falls to the rules, and its assignment says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from automl_gpt_ray.assignment.choice import Assignment, Candidate, OpenTask
from automl_gpt_ray.assignment.reading import Matches, read_matches
from automl_gpt_ray.assignment.registry import Registry
from automl_gpt_ray.assignment.rules import Usable, admitted, by_rules
from automl_gpt_ray.cards import ModelCard
from automl_gpt_ray.errors import JobError, LLMError, Problem, shown
from automl_gpt_ray.events import (
    REPAIR,
    CallFailed,
    Decision,
    Event,
    PromptSent,
    ReplyRead,
    ReplyReceived,
)
from automl_gpt_ray.job_events import ModelAssigned
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.prompts.matching import matching_prompt, matching_schema
from automl_gpt_ray.prompts.paragraph import repair_prompt
from automl_gpt_ray.prompts.tokens import estimated_tokens
from automl_gpt_ray.records import Prompt
from automl_gpt_ray.replies import ReplyError

Record = Callable[[Event], object]
PURPOSE = "assign"


def assign(
    tasks: Sequence[OpenTask],
    registry: Registry,
    usable: Usable = lambda card: "",
    llm: LLMClient | None = None,
    record: Record = lambda event: None,
    clean: Callable[[str], str] = str,
) -> list[Assignment]:
    """Return the assignment of each task, in order; one that no model can train on has an empty `model`.

    Args:
        tasks: Those that want a model, and those that have one.
        registry: The models there are.
        usable: Says why a card's trainable cannot be used.
        llm: Chooses among what the rules admit; None lets the rules choose.
        record: Where prompts, replies and assignments are written down.
        clean: Applied to what the language model writes: takes keys out.
    """
    open_tasks = [task for task in tasks if not task.named]
    ruled = {task.name: admitted(task, registry.cards, usable) for task in open_tasks}
    asked = [task for task in open_tasks if len(ruled[task.name][0]) > 1]
    candidates = {task.name: ruled[task.name][0] for task in asked}
    matched, problem = _matched(asked, candidates, registry.cards, llm, record, clean) if llm and asked else ({}, "")
    found = []
    for task in tasks:
        if task.named:
            made = Assignment(task.name, task.named, "the job names it", "job")
        elif task.name in matched:
            made = _completed(matched[task.name], *ruled[task.name])
        else:
            made = by_rules(task, *ruled[task.name], problem if task.name in candidates else "")
        found.append(made)
        record(_event(made))
    return found


def check_assigned(assignments: Sequence[Assignment], source: str) -> None:
    """Raise JobError where a task has no model, with every model's reason."""
    problems = []
    for found in assignments:
        if not found.model:
            why = "; ".join(f"`{c.model}` {c.reason}" for c in found.rejected)
            rule = "a registered model must be able to train on this task"
            problems.append(Problem(f"tasks.{found.task}", f"{rule} ({why})", remedy="add a Model Card that is"))
    if problems:
        raise JobError(source, problems)


def _matched(
    tasks: Sequence[OpenTask],
    candidates: Mapping[str, Sequence[Candidate]],
    cards: Mapping[str, ModelCard],
    llm: LLMClient,
    record: Record,
    clean: Callable[[str], str],
) -> tuple[Mapping[str, Assignment], str]:
    """Return what the language model chose, and why it did not choose for the others."""
    prompt, schema = matching_prompt(tasks, candidates, cards), matching_schema(tasks, candidates)
    call = uuid.uuid4().hex[:10]

    def ask(prompt: Prompt, call: str, purpose: str) -> str:
        record(PromptSent(call, purpose, 0, prompt.messages, len(tasks), estimated_tokens(prompt)))
        answer = llm.complete(prompt, schema)
        text = clean(answer.text)
        record(ReplyReceived(call, text, answer.model, answer.usage, answer.seconds, answer.finish))
        return text

    first: Matches | ReplyError | None = None
    try:
        text = ask(prompt, call, PURPOSE)
        first = result = read_matches(text, candidates)
        if result.problems:
            call += REPAIR
            again = ask(repair_prompt(prompt, text, result.problems), call, "repair")
            result = _joined(first, read_matches(again, candidates), candidates)
    except LLMError as error:
        record(CallFailed(call, type(error).__name__, clean(str(error))))
        return _failed(first, f"the language model cannot be asked: {clean(str(error))}", record)
    if isinstance(result, ReplyError):
        record(CallFailed(call, result.kind, str(result)))
        return _failed(first, f"the language model's reply could not be used, even after a repair: {result}", record)
    record(ReplyRead(call, len(result.chosen), result.problems))
    if not result.problems:
        return result.chosen, ""
    return _failed(result, f"the language model chose for some tasks only: {'; '.join(result.problems[:3])}", record)


def _joined(first: Matches | ReplyError, again: Matches | ReplyError, names: Iterable[str]) -> Matches | ReplyError:
    """Return a repaired reply with what only the first one chose: many repeat but what was wrong."""
    if isinstance(first, ReplyError) or isinstance(again, ReplyError):
        return again
    chosen = {**first.chosen, **again.chosen}
    missing = [f"task {shown(name)} has no model" for name in names if name not in chosen]
    return Matches(chosen, (*again.problems, *missing) if missing else ())


def _failed(partial: Matches | ReplyError | None, problem: str, record: Record) -> tuple[Mapping[str, Assignment], str]:
    record(Decision("assignment", "outage", f"{problem}; the rules choose", by="assignment"))
    return (partial.chosen if isinstance(partial, Matches) else {}), problem


def _completed(made: Assignment, candidates: Sequence[Candidate], rejected: Sequence[Candidate]) -> Assignment:
    """Return a language model's choice with the other candidates after its own alternatives."""
    told = {c.model for c in made.alternatives} | {made.model}
    others = tuple(c for c in candidates if c.model not in told)
    return replace(made, alternatives=(*made.alternatives, *others), rejected=tuple(rejected))


def _event(made: Assignment) -> ModelAssigned:
    others, rejected = ({c.model: c.reason for c in found} for found in (made.alternatives, made.rejected))
    return ModelAssigned(made.task, made.model, made.reason, made.by, others, rejected)
