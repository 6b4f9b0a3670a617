"""Anytime curves as pictures: regret against epochs and against virtual time. Needs matplotlib."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.regret import Floats, Progress

POINTS = 80
Runs = Mapping[tuple[str, int], Progress]


def draw(suite: str, methods: Mapping[str, Runs], folder: Path) -> list[Path]:
    """Draw a suite's two pictures into `folder`; nothing, and a word of it, without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no pictures: matplotlib is not installed (`pip install 'automl-gpt-ray[bench]'`)")
        return []
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
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
        picture.savefig(files[-1], dpi=110)
    return files


def _picture(
    suite: str, methods: Mapping[str, Runs], share: Floats, label: str, at: Callable[[Progress], Floats]
) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    for index, (name, runs) in enumerate(sorted(methods.items())):
        mean, error = _band(runs, at)
        style = "-" if name.startswith("ours") else "--"
        colour = f"C{index % 10}"
        axes.plot(share, mean, style, color=colour, label=name, linewidth=2 if style == "-" else 1.2)
        axes.fill_between(share, mean - error, mean + error, color=colour, alpha=0.12, linewidth=0)
    axes.set(xscale="log", xlabel=label, ylabel="normalised regret (0 best recorded, 1 median)", title=suite)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]), top=min(1.2, axes.get_ylim()[1]))
    axes.legend(fontsize=7, ncols=2)
    return figure


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
