"""The run so far as a few lines whose number does not grow with the number of trials.

Best trials, latest trials, running ones, failures by class, and counts. Configurations are written as
differences from the default, curves as at most five points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.prompts.quoting import number, quoted
from automl_gpt_ray.records import Config, History, Proposal, Scalar, TrialRecord, TrialState

BEST, LATEST, RUNNING, QUEUED, FAILED_EACH, CLASSES = 6, 5, 8, 8, 2, 6
POINTS = 5


def history_lines(brief: Brief, history: History) -> str:
    """Return the history for a prompt; empty when nothing was started or queued."""
    if not history.trials and not history.pending:
        return ""
    lines = [_counts(brief, history), f"default setting: {quoted(brief.space.default)}"]
    measured = [t for t in history.trials if t.value(history.objective) is not None]
    best = _ranked(measured, history)[:BEST]
    ended = [t for t in history.trials if t.state.ended and t.state is not TrialState.FAILED]
    latest = [t for t in ended[-LATEST:] if t not in best]
    running = [t for t in history.in_state(TrialState.RUNNING, TrialState.PAUSED) if t not in best]
    lines += _section("best settings, best first", best, brief, history)
    lines += _section("latest settings", latest, brief, history)
    lines += _section("in training", running[-RUNNING:], brief, history)
    lines += _queued(history.pending, brief)
    lines += _failures(history, brief)
    return "\n".join(lines)


def difference(brief: Brief, config: Config) -> dict[str, Scalar]:
    """Return the values of `config` that differ from the default configuration."""
    default = brief.space.default
    return {k: v for k, v in config.items() if k not in default or default[k] != v}


def _counts(brief: Brief, history: History) -> str:
    counts = {state.value: len(history.in_state(state)) for state in TrialState}
    stated = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    best = history.best
    value = best.value(history.objective) if best else None
    return f"trials: {stated or 'none yet'}; best {quoted(brief.objective.metric)} so far: {number(value)}"


def _ranked(trials: Sequence[TrialRecord], history: History) -> list[TrialRecord]:
    sign = history.objective.sign
    return sorted(trials, key=lambda t: -sign * (t.value(history.objective) or 0.0))


def _section(title: str, trials: Sequence[TrialRecord], brief: Brief, history: History) -> list[str]:
    if not trials:
        return []
    return [f"{title} (changes from the default):", *(_line(trial, brief, history) for trial in trials)]


def _line(trial: TrialRecord, brief: Brief, history: History) -> str:
    curve = trial.curve(brief.objective.metric)
    shown = ", ".join(f"{step}: {number(value)}" for step, value in _thinned(curve))
    value = number(trial.value(history.objective))
    return f"  {value} | {trial.state.value} at {trial.last_step} | {_config(trial.config, brief)} | log {{{shown}}}"


def _config(config: Config, brief: Brief) -> str:
    changes = difference(brief, config)
    return quoted(changes) if changes else "the default"


def _thinned(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    if len(curve) <= POINTS:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (POINTS - 1))] for i in range(POINTS)]


def _queued(pending: Sequence[Proposal], brief: Brief) -> list[str]:
    if not pending:
        return []
    return ["about to be trained:", *(f"  {_config(p.config, brief)}" for p in pending[-QUEUED:])]


def _failures(history: History, brief: Brief) -> list[str]:
    by_class: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in history.in_state(TrialState.FAILED):
        by_class[trial.failure or "error"].append(trial)
    lines = ["failures:"] if by_class else []
    ranked = sorted(by_class.items(), key=lambda item: (-len(item[1]), item[0]))
    for failure, trials in sorted(ranked[:CLASSES]):
        examples = "; ".join(_config(t.config, brief) for t in trials[-FAILED_EACH:])
        lines.append(f"  {quoted(failure, 100)} × {len(trials)}, such as {examples}")
    if others := ranked[CLASSES:]:
        lines.append(f"  and {len(others)} rarer classes, {sum(len(trials) for _, trials in others)} trials")
    return lines
