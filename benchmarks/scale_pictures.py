"""The rows of `benchmarks.scale` as pictures: what a driver bears by the trials that it knows. Needs matplotlib."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pictures import ready

Row = Mapping[str, Any]
Lines = Sequence[tuple[str, str, str, Callable[[Row], float]]]
"""Label, colour, line style, and value of a row."""
MARKS = {10: "o", 100: "s", 1000: "^"}
"""Workers of a row and its mark."""
MEDIAN, P99 = 0, 1


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw the three pictures into `folder`; nothing, and a word of it, without matplotlib."""
    if not ready(folder):
        return []
    made = {"shares": _shares(rows), "times": _times(rows), "memory": _memory(rows)}
    files = []
    for name, picture in made.items():
        files.append(folder / f"scaling_{name}.png")
        picture.savefig(files[-1], dpi=90)
    return files


def _shares(rows: Sequence[Row]) -> Any:
    figure, (left, right) = _figure(2)
    _plot(left, rows, (("workers at work", "tab:green", "-", lambda row: 100 * row["utilisation"]),))
    left.set(ylabel="% of their time", title="Utilisation of the workers (from 90 %)", ylim=(90, 100.5))
    lines: Lines = (
        ("event loop, for us", "tab:red", "-", lambda row: 100 * row["loop_busy"]),
        ("advisors' threads", "tab:blue", "-", lambda row: 100 * row["advice_busy"]),
    )
    _plot(right, rows, lines)
    right.set(ylabel="% of the time", title="How busy the driver is", ylim=(-2, None))
    return figure


def _times(rows: Sequence[Row]) -> Any:
    figure, panels = _figure(3, sharey=True)
    _plot(panels[0], rows, _both("suggest", "searcher", "tab:blue"))
    panels[0].set(ylabel="ms of the processor", title="suggest", yscale="log")
    _plot(
        panels[1],
        rows,
        (*_both("searcher: result", "searcher", "tab:blue"), *_both("scheduler: result", "ASHA", "tab:orange")),
    )
    panels[1].set(title="result")
    _plot(panels[2], rows, _both("scheduler: choose", "ASHA", "tab:orange"))
    panels[2].set(title="choose_trial_to_run")
    return figure


def _memory(rows: Sequence[Row]) -> Any:
    figure, (axes,) = _figure(1)
    lines: Lines = (
        ("driver", "tab:red", "-", lambda row: row["rss_mb"]),
        ("Optuna's process", "tab:blue", "-", lambda row: row["optuna_mb"]),
        ("journal on disk", "0.5", "--", lambda row: row["journal_mb"]),
    )
    _plot(axes, rows, lines)
    axes.set(ylabel="MB", title="Memory", ylim=(0, None))
    return figure


def _both(call: str, who: str, colour: str) -> Lines:
    return (
        (f"{who}, 99th percentile", colour, "--", lambda row: row["ms"][call][P99]),
        (f"{who}, median", colour, "-", lambda row: row["ms"][call][MEDIAN]),
    )


def _figure(panels: int, **shared: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.2 + 3.6 * panels, 3.9), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False, **shared)[0]


def _plot(axes: Any, rows: Sequence[Row], lines: Lines) -> None:
    """Draw a mark a row, and lines through the means of rows that end at the same number of trials."""
    for label, colour, style, value in lines:
        by_trials = defaultdict(list)
        for row in rows:
            by_trials[_known(row)].append(value(row))
            face = "white" if style == "--" else colour
            axes.plot(_known(row), value(row), MARKS.get(row["workers"], "D"), color=colour, mfc=face, markersize=6)
        middle = [(at, sum(values) / len(values)) for at, values in sorted(by_trials.items())]
        axes.plot(*zip(*middle, strict=True), linestyle=style, color=colour, linewidth=1.3, label=label)
    for workers in sorted({row["workers"] for row in rows}):
        axes.plot([], [], MARKS.get(workers, "D"), color="0.3", markersize=6, label=f"{workers:,} workers")
    axes.set_xscale("log")
    axes.set_xlabel("trials known at the end of the row")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)


def _known(row: Row) -> int:
    return int(row["known"] + row["trials"])
