"""The run so far as a few lines whose number does not grow with the number of trials.

Best trials, latest trials, running ones, failures by class, and counts. Configurations are written as
differences from the default, curves as at most five points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.limits import measured, ranked
from automl_gpt_ray.prompts.detail import FULL, Detail
from automl_gpt_ray.prompts.quoting import number, quoted
from automl_gpt_ray.records import Config, History, Proposal, Scalar, TrialRecord, TrialState

POINTS = 5
# A choice may be a page of text; a trial has room for its beginning.
MAX_VALUE = 120


_T = TypeVar("_T")


def history_lines(brief: Brief, history: History, detail: Detail = FULL) -> str:
    """Return the history for a prompt; empty when nothing was started or queued."""
    if not history.trials and not history.pending:
        return ""
    best = ranked(history.trials, history.objective, history.limits)[: detail.best]
    top = best[0].value(history.objective) if best else None
    lines = [_counts(brief, history, top), f"default setting: {quoted(brief.space.default, MAX_VALUE)}"]
    shown = {t.id for t in best}
    ended = [t for t in history.trials if t.state.ended and t.state is not TrialState.FAILED]
    running = history.in_state(TrialState.RUNNING, TrialState.PAUSED)
    for title, trials in (
        ("best settings, best first", best),
        ("latest settings", [t for t in _last(ended, detail.latest) if t.id not in shown]),
        ("in training", _last([t for t in running if t.id not in shown], detail.running)),
    ):
        lines += _section(title, trials, brief, history)
    lines += _queued(_last(history.pending, detail.queued), brief)
    lines += _failures(history, brief, detail)
    return "\n".join(lines)


def difference(brief: Brief, config: Config) -> dict[str, Scalar]:
    """Return the values of `config` that differ from the default configuration."""
    default = brief.space.default
    return {k: v for k, v in config.items() if k not in default or default[k] != v}


def changes(brief: Brief, config: Config) -> str:
    """Return what of `config` differs from the default, as JSON; its words are "the default" where nothing does."""
    changed = difference(brief, config)
    return quoted(changed, MAX_VALUE) if changed else "the default"


def log_text(curve: Sequence[tuple[int, float]]) -> str:
    """Return (step, value) pairs as at most POINTS of them."""
    return ", ".join(f"{step}: {number(value)}" for step, value in _thinned(curve))


def _counts(brief: Brief, history: History, best: float | None) -> str:
    counts = {state.value: len(history.in_state(state)) for state in TrialState}
    stated = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"trials: {stated or 'none yet'}; best {quoted(brief.objective.metric)} so far: {number(best)}"


def _section(title: str, trials: Sequence[TrialRecord], brief: Brief, history: History) -> list[str]:
    if not trials:
        return []
    return [f"{title} (changes from the default):", *(_line(trial, brief, history) for trial in trials)]


def _line(trial: TrialRecord, brief: Brief, history: History) -> str:
    shown = log_text(trial.curve(brief.objective.metric))
    value, limits = number(trial.value(history.objective)), _broken(trial, history)
    state = f"{trial.state.value} at {trial.last_step}"
    return f"  {value} | {state}{limits} | {changes(brief, trial.config)} | log {{{shown}}}"


def _broken(trial: TrialRecord, history: History) -> str:
    """Return which limits of the request a trial breaks, or does not tell about; empty where it keeps to all."""
    if not history.limits:
        return ""
    found = measured(trial.observations, history.objective.metric, trial.value(history.objective))
    excesses = history.limits.excesses(found) if found else {}
    told = [f"breaks {quoted(str(x))}: {number(found[x.name])}" for x in history.limits.limits if excesses.get(x.name)]
    told += [f"{quoted(name)} not measured" for name, excess in excesses.items() if excess is None]
    return f" | {'; '.join(told) or 'within all limits'}" if found else ""


def _last(items: Sequence[_T], count: int) -> Sequence[_T]:
    return items[len(items) - min(count, len(items)) :]


def _thinned(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    if len(curve) <= POINTS:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (POINTS - 1))] for i in range(POINTS)]


def _queued(pending: Sequence[Proposal], brief: Brief) -> list[str]:
    if not pending:
        return []
    return ["about to be trained:", *(f"  {changes(brief, p.config)}" for p in pending)]


def _failures(history: History, brief: Brief, detail: Detail) -> list[str]:
    by_class: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in history.in_state(TrialState.FAILED):
        by_class[trial.failure or "error"].append(trial)
    lines = ["failures:"] if by_class else []
    ranked = sorted(by_class.items(), key=lambda item: (-len(item[1]), item[0]))
    for failure, trials in sorted(ranked[: detail.failures]):
        examples = "; ".join(changes(brief, t.config) for t in _last(trials, detail.failed_each))
        lines.append(f"  {quoted(failure, 100)} × {len(trials)}, such as {examples}")
    if others := ranked[detail.failures :]:
        lines.append(f"  and {len(others)} rarer classes, {sum(len(trials) for _, trials in others)} trials")
    return lines
