"""What the live view shows of a run at one moment: a snapshot of its book, as lines of text that fit the screen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from automl_gpt_ray.budget import KINDS, Budget, amount
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.outcome import best_step
from automl_gpt_ray.records import History, Objective, TrialRecord, TrialState
from automl_gpt_ray.sparkline import sparkline
from automl_gpt_ray.spending import Spending

SPARK, BAR = 24, 20
MOST_RUNNING = 6


@dataclass(frozen=True)
class Scene:
    """A moment of a run.

    Attributes:
        title: What is tuned.
        history: All trials.
        spending: On the language model.
        shares: What each source is trusted with.
        budget: What the run may use.
        seconds: What it has taken.
        gpus: Of each trial.
        model: The language model in charge; empty where there is none.
        lines: The latest that was said, oldest first.
    """

    title: str
    history: History
    spending: Spending
    shares: Mapping[str, float]
    budget: Budget
    seconds: float
    gpus: float = 0.0
    model: str = ""
    lines: Sequence[str] = ()


def panel(scene: Scene, width: int, height: int) -> RenderableType:
    """Return the scene in at most `height` lines of `width` characters."""
    rows = [
        _counts(scene),
        *_budget(scene),
        _model(scene),
        *([_trust(scene.shares)] if scene.shares else []),
        *_best(scene),
        *_running(scene.history),
    ]
    room = max(0, height - len(rows) - 2)
    said = [("", Text(plain(line), style="dim")) for line in (scene.lines[-room:] if room else ())]
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(20, width - 14))
    for name, text in (*rows, *said):
        table.add_row(name, text)
    title = f"── {plain(scene.title)} · {clock(scene.seconds)} ──"
    return Group(Text(title, style="bold", no_wrap=True, overflow="ellipsis"), table)


def plain(text: str) -> str:
    """Return somebody's text as one line without keys, and without anything that a terminal would obey."""
    line = "".join(c if c.isprintable() else " " for c in redact(text, secrets_in()))
    return " ".join(line.split())


def clock(seconds: float) -> str:
    """Return a time as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _counts(scene: Scene) -> tuple[str, Text]:
    history = scene.history
    ended = len(history.in_state(TrialState.COMPLETED, TrialState.STOPPED))
    failed = len(history.in_state(TrialState.FAILED))
    text = Text(f"{len(history.in_state(TrialState.RUNNING))} running", style="green")
    text.append(f" · {len(history.in_state(TrialState.PAUSED))} paused · {ended} finished · ", style="default")
    text.append(f"{failed} failed", style="red" if failed else "default")
    return "trials", text


def _budget(scene: Scene) -> list[tuple[str, Text]]:
    trials = scene.history.trials
    training = sum(trial.seconds for trial in trials)
    used = {
        "trials": len(trials),
        "steps": sum(trial.lineage.steps(trial.last_step) for trial in trials),
        "seconds": scene.seconds,
        "gpu_hours": scene.gpus * training / 3600,
        "tokens": scene.spending.usage.total,
        "money": scene.budget.cost(scene.spending.models) or 0.0,
    }
    rows = []
    for kind, limit in scene.budget.limits.items():
        share = min(1.0, used[kind] / limit)
        bar = "━" * round(BAR * share) + "─" * (BAR - round(BAR * share))
        left = amount(round(max(0.0, limit - used[kind]), 2))
        rows.append(("budget", Text(f"{bar} {left} of {amount(limit)} {KINDS[kind]} left")))
    return rows


def _model(scene: Scene) -> tuple[str, Text]:
    spent = scene.spending
    if not scene.model and not spent.calls:
        return "model", Text("none: the classical team alone", style="yellow")
    money = scene.budget.cost(spent.models)
    cost = "" if money is None else f" · US$ {money:.4f}"
    failed = f" ({spent.failures} failed)" if spent.failures else ""
    return "model", Text(f"{scene.model} · {spent.calls} calls{failed} · {spent.usage.total:,} tokens{cost}")


def _trust(shares: Mapping[str, float]) -> tuple[str, Text]:
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return "trust", Text(" · ".join(f"{name} {share:.0%}" for name, share in ordered))


def _best(scene: Scene) -> list[tuple[str, Text]]:
    history = scene.history
    trial, objective = history.best, history.objective
    if trial is None:
        return [("best", Text("no value yet", style="dim"))]
    number = next(i for i, t in enumerate(history.trials, 1) if t.id == trial.id)
    text = Text(f"{objective.metric} {trial.value(objective):.4f}", style="bold")
    text.append(f" · trial {number} ({trial.proposal.source}) at step {best_step(trial, objective)}", style="default")
    default = next((t.value(objective) for t in history.trials if t.proposal.source == "default"), None)
    text.append("" if default is None else f" · default {default:.4f}", style="default")
    rows = [("best", text)]
    real, log = trial.curve(objective.metric), trial.proposal.predicted_log
    told = [(p.step, p.value) for p in log.points] if log and log.metric == objective.metric else []
    ends = _ends([value for _, value in (*real, *told)])
    if told:
        steps = range(int(told[0][0]), history.max_step + 1)
        course = [(step, log.at(step).value) for step in steps] if log else []
        rows.append(("", _line("predicted", course, ends, history.max_step, told[-1][1], "dim")))
    rows.append(("", _line("real", real, ends, history.max_step, real[-1][1], "green")))
    return rows


def _running(history: History) -> list[tuple[str, Text]]:
    objective = history.objective
    numbered = [(n, t) for n, t in enumerate(history.trials, 1) if t.state is TrialState.RUNNING]
    known = [v for t in history.trials[-200:] if (v := t.value(objective)) is not None]
    ends = _ends(known)
    rows = [("running", _trial(n, trial, objective, ends, history.max_step)) for n, trial in numbered[:MOST_RUNNING]]
    if len(numbered) > MOST_RUNNING:
        rows.append(("", Text(f"and {len(numbered) - MOST_RUNNING} more", style="dim")))
    return rows


def _trial(number: int, trial: TrialRecord, objective: Objective, ends: tuple[float, float], steps: int) -> Text:
    value, curve = trial.value(objective), trial.curve(objective.metric)
    text = Text(sparkline(curve, ends, steps, SPARK // 2), style="green")
    shown = "-" if value is None else f"{value:.4f}"
    text.append(f" {number:>4} {trial.last_step:>4}/{steps} {shown:>8} ", style="default")
    text.append(f"{trial.proposal.source}: {plain(trial.proposal.reason)}", style="dim")
    return text


def _line(
    name: str, points: Sequence[tuple[float, float]], ends: tuple[float, float], steps: int, last: float, style: str
) -> Text:
    return Text(f"{sparkline(points, ends, steps, SPARK)} {name} {last:.4g}", style=style)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 1.0)
