"""What a reader wants first: how the run stands, the best configuration, its metrics, beside the default's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from automl_gpt_ray.limits import Limit
from automl_gpt_ray.outcome import WARNINGS, best_step
from automl_gpt_ray.pareto import check_limits, pareto_front
from automl_gpt_ray.records import Config, TrialRecord, TrialState
from automl_gpt_ray.report.account import duration
from automl_gpt_ray.report.story import Story
from automl_gpt_ray.report.verdict import about_the_run

OPEN = "This run has not ended: it goes on, or its driver died. What follows is what is known so far."


def headline(story: Story) -> dict[str, Any]:
    """Return name, subject, status, and what a reader must know before anything else."""
    brief, ended = story.brief, story.book.ended
    data = brief.data.name if brief and brief.data else None
    model = brief.model.name if brief and brief.model else None
    llm = story.job.get("llm")
    asked = ", ".join(story.book.spending.models) or (llm.get("model") if isinstance(llm, Mapping) else None)
    return {
        "name": story.name,
        "subject": f"{model} on {data}" if model and data else model or data or "somebody's own trainable",
        "goal": f"{'maximise' if story.objective.mode == 'max' else 'minimise'} {story.objective.metric}",
        "status": f"ended because {ended.reason}" if ended else OPEN,
        "ended": ended is not None,
        "model": asked,
        "began": story.moments[0].time,
        "wall": duration(story.book.seconds),
        "warnings": _warnings(story),
    }


def best(story: Story) -> dict[str, Any] | None:
    """Return the best trial: who proposed it and why, its configuration and metrics beside the default's."""
    trial, objective = story.best, story.objective
    if trial is None:
        return None
    step = best_step(trial, objective)
    config = trial.lineage.config(trial.proposal.config, step)
    return {
        "n": story.numbers[trial.id],
        "id": trial.id,
        "source": trial.proposal.source,
        "reason": trial.proposal.reason,
        "step": step,
        "value": trial.value(objective),
        "default": story.default.value(objective) if story.default else None,
        "gain": _gain(story, trial),
        "test": _test(story, trial),
        "config": _config_rows(story, config),
        "metrics": _metric_rows(story, trial),
        "is_default": story.default is not None and story.default.id == trial.id,
    }


def counts(story: Story) -> dict[str, int]:
    """Return the number of trials in each state, `total` first."""
    states = Counter(trial.state.value for trial in story.history.trials)
    return {"total": len(story.history.trials), **{s.value: states[s.value] for s in TrialState if states[s.value]}}


def limits(story: Story) -> dict[str, Any]:
    """Return how the best trial stands against each limit, and what the others trade."""
    checks = [
        {
            "limit": str(Limit(check.name, check.low, check.high)),
            "measured": check.measured,
            "standing": {None: "not measured", True: "kept", False: "broken"}[check.kept],
        }
        for check in check_limits(story.history)
    ]
    front = pareto_front(story.history)
    rows = [{**asdict(row), "trial": story.numbers[row.trial]} for row in front]
    return {"checks": checks, "pareto": rows, "names": sorted({name for row in front for name in row.measured})}


def _warnings(story: Story) -> list[str]:
    found = [d.reason for d in about_the_run(story) if d.action in WARNINGS]
    repeated = Counter(found)
    told = [reason if n == 1 else f"{reason} ({n} times)" for reason, n in repeated.items()]
    broken = [Limit(c.name, c.low, c.high) for c in check_limits(story.history) if c.kept is False]
    told += [f"The best trial breaks the limit {limit}." for limit in broken]
    if story.unreadable:
        told.append(f"{story.unreadable} lines of the journal cannot be read; what they said is missing here.")
    if not story.best:
        told.append("No trial has reported a value.")
    return told


def _gain(story: Story, trial: TrialRecord) -> str:
    value, default = trial.value(story.objective), story.default.value(story.objective) if story.default else None
    if value is None or default is None:
        return ""
    if story.default is not None and story.default.id == trial.id:
        return "that is the default, revised as it trained" if trial.lineage.applied else "that is the default itself"
    gain = f"{value - default:+.4g} against the default"
    last, full = story.default.last_step if story.default else 0, story.history.max_step
    # One that was held back has not shown what it can reach.
    return gain if last >= full else f"{gain}, which was trained for {last} of {full} {story.step}s only"


def _test(story: Story, trial: TrialRecord) -> dict[str, float] | None:
    tested = story.book.tested
    return dict(tested.metrics) if tested and tested.trial == trial.id else None


def _config_rows(story: Story, config: Config) -> list[dict[str, Any]]:
    default = story.started.default or (story.default.config if story.default else {})
    names = list(dict.fromkeys([*config, *default]))
    searched = story.brief.space.searched if story.brief else {}
    rows = [
        {
            "name": name,
            "best": _value(config[name]) if name in config else None,
            "default": _value(default[name]) if name in default else None,
            "changed": config.get(name) != default.get(name) or (name in config) != (name in default),
            "searched": name in searched,
        }
        for name in names
    ]
    return sorted(rows, key=lambda row: not row["searched"])


def _metric_rows(story: Story, trial: TrialRecord) -> list[dict[str, Any]]:
    chosen, default = _at_best(story, trial), _at_best(story, story.default)
    test, objective = _test(story, trial) or {}, story.objective.metric
    names = sorted({*chosen, *test}, key=lambda n: (n != objective, n not in test, n.startswith("train_"), n))
    return [
        {"name": n, "validation": chosen.get(n), "test": test.get(n), "default": default.get(n), "main": n == objective}
        for n in names
    ]


def _at_best(story: Story, trial: TrialRecord | None) -> Mapping[str, float]:
    if trial is None or trial.value(story.objective) is None:
        return {}
    step = best_step(trial, story.objective)
    return next(o.metrics for o in trial.observations if o.step == step)


def _value(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
