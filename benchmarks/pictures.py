"""Anytime curves as pictures: regret against epochs and against virtual time. Needs matplotlib."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.regret import Floats, Progress

POINTS = 80
REFERENCE = "tpe+asha"
BANDED = ("ours-freeze-thaw", "ours-llm")
THICK = 2.2
COLOURS = (
    ("ours-freeze-thaw-late", "tab:pink"),
    ("ours-merit", "tab:pink"),
    ("ours-combination", "indigo"),
    ("ours-freeze-thaw", "tab:red"),
    ("ours-gp", "tab:orange"),
    ("ours-llm", "tab:purple"),
    ("ours-mixture", "tab:green"),
    ("ours-classical", "tab:cyan"),
    ("default", "0.75"),
    ("random", "0.45"),
    ("tpe", "tab:blue"),
    ("gp", "tab:brown"),
    ("control", "gold"),
)
"""Beginnings of searchers' names and their colours; the first that fits decides."""
Style = str | tuple[int, tuple[int, ...]]
VARIANT: Style = (0, (8, 2))
LATE: Style = (0, (5, 1, 1, 1, 1, 1))
Runs = Mapping[tuple[str, int], Progress]


def ready(folder: Path) -> bool:
    """Make `folder` for pictures and return whether any can be drawn; without matplotlib a word of it, and False."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no pictures: matplotlib is not installed (`pip install 'automl-gpt-ray[bench]'`)")
        return False
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    return True


def draw(suite: str, methods: Mapping[str, Runs], folder: Path) -> list[Path]:
    """Draw a suite's two pictures into `folder`; nothing, and a word of it, without matplotlib."""
    if not ready(folder):
        return []
    share = np.geomspace(0.02, 1.0, POINTS)
    spans = _spans(methods)
    by_epochs = _picture(
        suite, methods, share, "share of the budget in epochs", lambda run: run.at_epochs(share * run.raw.about.epochs)
    )
    by_time = _picture(
        suite,
        methods,
        share,
        "share of the median run's virtual time, model latency included",
        lambda run: run.at_seconds(share * spans[run.raw.key.task]),
    )
    files = []
    for name, picture in (("epochs", by_epochs), ("time", by_time)):
        files.append(folder / f"{suite}-{name}.png")
        picture.savefig(files[-1], dpi=100)
    return files


def _picture(
    suite: str, methods: Mapping[str, Runs], share: Floats, label: str, at: Callable[[Progress], Floats]
) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots()
    bands = {name: _band(runs, at) for name, runs in methods.items()}
    # The legend is read beside the ends of the lines: worst on top, like them.
    for name, (mean, error) in sorted(bands.items(), key=lambda item: -item[1][0][-1]):
        colour, style, width = look(name)
        axes.plot(share, mean, linestyle=style, color=colour, label=f"{mean[-1]:.3f}  {name}", linewidth=width)
        if name == REFERENCE or name.startswith(BANDED):
            axes.fill_between(share, mean - error, mean + error, color=colour, alpha=0.13, linewidth=0)
    _scales(axes, min(1.0, max(float(mean[0]) for mean, _ in bands.values()) * 1.05))
    axes.set(xlabel=label, ylabel="normalised regret (0 best recorded, 1 median)", title=suite)
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, title="at the end")
    return figure


def look(name: str) -> tuple[str, Style, float]:
    """Return colour, line style and width: a colour a searcher, a style a scheduler or variant, ours thick."""
    searcher, _, scheduler = name.partition("+")
    places = [place for place, (start, _) in enumerate(COLOURS) if searcher.startswith(start)]
    colour = COLOURS[places[0]][1] if places else "tab:olive"
    style: dict[str, Style] = {"": "-", "asha": "--", "hyperband": "-.", "median-pruner": ":", "hyperband-pruner": "-."}
    width = THICK if name.startswith("ours") else 1.3
    if places and not scheduler and searcher != COLOURS[places[0]][0]:
        return colour, LATE if searcher.endswith("late") else VARIANT, width
    return colour, style.get(scheduler, ":"), width


def _scales(axes: Any, top: float) -> None:
    """Draw shares of the budget as such, and small regrets larger than in proportion (square root)."""
    axes.set_xscale("log")
    axes.set_xticks([0.02, 0.05, 0.1, 0.25, 0.5, 1.0], ["2 %", "5 %", "10 %", "25 %", "50 %", "100 %"])
    axes.minorticks_off()
    axes.set_xlim(0.02, 1.0)
    axes.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0.0)), np.square))
    axes.set_yticks([y for y in (0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0) if y <= top])
    axes.set_ylim(0.0, top)
    axes.grid(alpha=0.25, linewidth=0.6)


def _band(runs: Runs, at: Callable[[Progress], Floats]) -> tuple[Floats, Floats]:
    """Return the mean over tasks, and its standard error."""
    by_task = defaultdict(list)
    for (task, _), run in runs.items():
        by_task[task].append(at(run))
    curves = np.array([np.mean(values, axis=0) for values in by_task.values()])
    spread = curves.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(curves.shape[1])
    return curves.mean(axis=0), spread / len(curves) ** 0.5


def _spans(methods: Mapping[str, Runs]) -> dict[str, float]:
    """Return, for each task, the median virtual time over all runs."""
    spans = defaultdict(list)
    for runs in methods.values():
        for (task, _), run in runs.items():
            spans[task].append(run.raw.about.virtual_s)
    return {task: float(np.median(values)) for task, values in spans.items()}
