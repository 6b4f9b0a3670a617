"""What a run cost, and what it trusted whom with."""

from __future__ import annotations

from typing import Any

from automl_gpt_ray.budget import KINDS, amount
from automl_gpt_ray.events import TrialStarted
from automl_gpt_ray.records import TrialRecord, TrialState
from automl_gpt_ray.report.story import Story
from automl_gpt_ray.report.thinning import evenly

SAMPLES = 200
"""Most moments at which shares are drawn."""


def account(story: Story) -> list[tuple[str, str]]:
    """Return what was spent, as (what, how much) for a person."""
    trials, spent = story.history.trials, story.book.spending
    training, steps = sum(t.seconds for t in trials), sum(t.lineage.steps(t.last_step) for t in trials)
    redone = sum(t.lineage.redone for t in trials)
    rows = [
        ("Wall-clock time", f"{duration(story.book.seconds)}, without times at which no driver lived"),
        ("Training time", f"{duration(training)} over all trials, in {steps} {story.step}s"),
        ("GPU time", f"{training * story.gpus / 3600:.3g} GPU-hours" if story.gpus else "none: trials had no GPU"),
    ]
    if redone:
        rows.append(("Given up by revisions", f"{redone} {story.step}s were trained again from a checkpoint"))
    if not spent.calls and not spent.failures:
        return [*rows, ("Language model", "none was asked")]
    used = spent.usage
    money = story.budget.cost(spent.models)
    rows += [
        ("Language model", f"{spent.calls} replies, {spent.failures} calls without a usable one"),
        ("Model time", f"{duration(spent.seconds)}, while trials went on"),
        (
            "Tokens",
            f"{used.prompt_tokens:,} in, {used.completion_tokens:,} out{' (estimated)' if used.estimated else ''}",
        ),
        ("Money", "unknown: the job has no prices" if money is None else f"US$ {money:.4f} for tokens"),
    ]
    return rows


def budget(story: Story) -> list[dict[str, Any]]:
    """Return each limit of the run with what was used of it."""
    trials, spent = story.history.trials, story.book.spending
    training = sum(t.seconds for t in trials)
    used = {
        "trials": len(trials),
        "steps": sum(t.lineage.steps(t.last_step) for t in trials),
        "seconds": story.book.seconds,
        "gpu_hours": training * story.gpus / 3600,
        "tokens": spent.usage.total,
        "money": story.budget.cost(spent.models),
    }
    rows = []
    for kind, limit in story.budget.limits.items():
        value = used.get(kind)
        if value is not None:
            shown = f"{amount(round(value, 3))} of {amount(limit)} {KINDS[kind]}"
            rows.append({"kind": KINDS[kind], "share": min(1.0, value / limit), "shown": shown})
    return rows


def sources(story: Story) -> list[dict[str, Any]]:
    """Return, for each who proposed, its trials, how they ended, what they cost and their best; most trials first."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in story.history.trials:
        groups.setdefault(trial.proposal.source, []).append(trial)
    bests = _record_holders(story)
    return [_source(story, name, trials, bests) for name, trials in sorted(groups.items(), key=lambda g: -len(g[1]))]


def shares(story: Story) -> list[tuple[int, dict[str, float]]]:
    """Return (trial's number, source to its share) as trials began, thinned evenly; trust that moved or not."""
    told = [
        (story.numbers[event.trial], {name: round(share, 4) for name, share in event.shares.items()})
        for event in story.events(TrialStarted)
        if event.shares and event.trial in story.numbers
    ]
    return evenly(told, SAMPLES)


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _source(story: Story, name: str, trials: list[TrialRecord], bests: dict[str, int]) -> dict[str, Any]:
    return {
        "name": name,
        "trials": len(trials),
        "failed": sum(t.state is TrialState.FAILED for t in trials),
        "records": bests.get(name, 0),
        "best": story.objective.best(t.value(story.objective) for t in trials),
        "seconds": duration(sum(t.seconds for t in trials)),
    }


def _record_holders(story: Story) -> dict[str, int]:
    """Return how often each source's trial ended better than all trials begun before it."""
    held, top = dict[str, int](), None
    for trial in story.history.trials:
        value = trial.value(story.objective)
        if story.objective.better(value, top):
            top = value
            held[trial.proposal.source] = held.get(trial.proposal.source, 0) + 1
    return held
