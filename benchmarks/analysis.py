"""The table and the pictures, from raw results alone.

    python -m benchmarks.analysis benchmarks/results/small --reference tpe+asha

For each suite: mean normalised regret (and its standard error over tasks) at fractions of the budget in
epochs; the same at fractions of the virtual time that the reference took, model latency included; mean
rank at the end; the regret of the held-out value of the chosen configuration; calls, tokens and money of
the language model, and real seconds of a run. Then each method against the reference on the same tasks
and seeds: mean difference with a bootstrap interval over tasks and seeds, and a Wilcoxon signed-rank
test over seeds (each the mean over tasks: seeds of one task share its table).
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import raw
from benchmarks.regret import FRACTIONS, Floats, Progress, progress, ranks

REFERENCE = "tpe+asha"
DRAWS = 2000
Runs = Mapping[tuple[str, int], Progress]
"""(task, seed) to the run of one method."""


@dataclass(frozen=True)
class Row:
    """One method in one suite; arrays over `FRACTIONS`."""

    method: str
    runs: int
    tasks: int
    epochs: Floats
    epochs_se: Floats
    seconds: Floats
    rank: float
    test: float
    trials: float
    tokens: float
    calls: float
    money: float
    real_s: float


@dataclass(frozen=True)
class Difference:
    """A method's final regret minus the reference's: negative is better.

    Attributes:
        reach: Share of the budget after which the method's mean regret is the reference's at the end; NaN
            where it never is. `mean`, `low` and `high` are of the final regret, `test` of the held-out one.
    """

    method: str
    mean: float
    low: float
    high: float
    p: float
    seeds: int
    pairs: int
    test: float
    reach: float


def report(
    folder: Path, reference: str = REFERENCE, pictures: bool = True, prices: tuple[float, float] = (0.0, 0.0)
) -> dict[str, Any]:
    """Print and write (`tables.md`, `pictures/`) the analysis of the raw results in `folder`.

    Args:
        folder: Of the raw results.
        reference: What the others are compared with, where it was run.
        pictures: Whether to draw.
        prices: Of a million prompt tokens and of a million completion tokens.

    Returns:
        Suite to method to final regret, for a machine to read.
    """
    suites: dict[str, dict[str, dict[tuple[str, int], Progress]]] = defaultdict(lambda: defaultdict(dict))
    for run in raw.read(folder):
        suites[run.key.suite][run.key.method][run.key.task, run.key.seed] = progress(run)
    texts = []
    figures: dict[str, Any] = {}
    for suite, methods in sorted(suites.items()):
        rows, chosen = table(methods, reference, prices), _reference(methods, reference)
        texts.append(markdown(suite, rows, differences(methods, chosen), chosen))
        figures[suite] = {row.method: round(float(row.epochs[-1]), 4) for row in rows}
        if pictures:
            from benchmarks.pictures import draw

            draw(suite, methods, folder / "pictures")
    text = "\n".join(texts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.md").write_text(text, encoding="utf-8")
    print(text)
    return {"regret": figures}


def table(methods: Mapping[str, Runs], reference: str, prices: tuple[float, float] = (0.0, 0.0)) -> list[Row]:
    """Return a row a method, best final regret first; tasks count equally, whatever their seeds."""
    ranked = _ranks(methods)
    spans = time_spans(methods, reference)
    rows = [_row(name, runs, spans, ranked.get(name, float("nan")), prices) for name, runs in methods.items()]
    return sorted(rows, key=lambda row: float(row.epochs[-1]))


def time_spans(methods: Mapping[str, Runs], reference: str) -> dict[str, float]:
    """Return, for each task, the median virtual time that the reference took for its budget."""
    spans: dict[str, list[float]] = defaultdict(list)
    for (task, _), run in methods[_reference(methods, reference)].items():
        spans[task].append(run.raw.about.virtual_s)
    return {task: float(np.median(values)) for task, values in spans.items()}


def differences(methods: Mapping[str, Runs], reference: str) -> list[Difference]:
    """Return each other method against the reference, over the runs that both have."""
    found = [_difference(name, runs, methods[reference]) for name, runs in methods.items() if name != reference]
    return sorted((d for d in found if d is not None), key=lambda d: d.mean)


def bootstrap(grid: Mapping[str, list[float]], seed: int = 0) -> tuple[float, float]:
    """Return a 95 % interval of the mean over tasks, resampling tasks, then seeds within each."""
    rng = np.random.default_rng(seed)
    tasks = [np.array(values) for values in grid.values()]
    means = np.empty(DRAWS)
    for draw in range(DRAWS):
        picked = [tasks[i] for i in rng.integers(len(tasks), size=len(tasks))]
        means[draw] = np.mean([values[rng.integers(len(values), size=len(values))].mean() for values in picked])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def wilcoxon(values: Floats) -> float:
    """Return the two-sided p of the signed-rank test; 1 where nothing differs or scipy is absent: NaN."""
    if not np.any(values):
        return 1.0
    try:
        from scipy.stats import wilcoxon as signed_rank
    except ImportError:
        return float("nan")
    return float(signed_rank(values).pvalue)


def markdown(suite: str, rows: list[Row], compared: list[Difference], reference: str) -> str:
    """Return a suite's two tables as Markdown."""
    shares = " | ".join(f"{f:.0%}" for f in FRACTIONS)
    lines = [
        f"### {suite}",
        "",
        "Mean normalised regret at shares of the budget in epochs (± standard error over tasks at the end), and at "
        f"shares of `{reference}`'s virtual time.",
        "",
        f"| method | {shares} | ± | time: {shares} | rank | test | trials | calls | tokens | money | real s | runs |",
        "|---|" + "---|" * (2 * len(FRACTIONS) + 9),
    ]
    tasks = max((r.tasks for r in rows), default=0)
    for r in rows:
        name = r.method if r.tasks == tasks else f"{r.method} ({r.tasks} of {tasks} tasks)"
        by_epochs, by_time = (" | ".join(f"{v:.3f}" for v in part) for part in (r.epochs, r.seconds))
        cost = f"{r.trials:.0f} | {r.calls:.0f} | {r.tokens:.0f} | {r.money:.4f} | {r.real_s:.2f} | {r.runs}"
        lines.append(
            f"| {name} | {by_epochs} | {r.epochs_se[-1]:.3f} | {by_time} | {r.rank:.2f} | {r.test:.4f} | {cost} |"
        )
    lines += ["", f"Final regret minus that of `{reference}` on the same tasks and seeds (negative is better), and the"]
    lines += ["share of the budget after which a method is where the reference ends:", ""]
    lines += [
        f"| method | difference | 95 % interval | Wilcoxon p | seeds | pairs | test | `{reference}`'s end at |",
        "|---" * 8 + "|",
    ]
    for d in compared:
        interval = f"{d.low:+.4f} to {d.high:+.4f}"
        reach = f"{d.reach:.0%}" if math.isfinite(d.reach) else "never"
        tested = f"{d.p:.3f} | {d.seeds} | {d.pairs} | {d.test:+.4f} | {reach}"
        lines.append(f"| {d.method} | {d.mean:+.4f} | {interval} | {tested} |")
    return "\n".join([*lines, ""])


def _row(name: str, runs: Runs, spans: Mapping[str, float], rank: float, prices: tuple[float, float]) -> Row:
    shares = np.array(FRACTIONS)
    epochs, seconds = defaultdict(list), defaultdict(list)
    for (task, _), run in runs.items():
        epochs[task].append(run.at_epochs(shares * run.raw.about.epochs))
        seconds[task].append(run.at_seconds(shares * spans.get(task, run.raw.about.virtual_s)))
    by_task = np.array([np.mean(values, axis=0) for values in epochs.values()])
    about = [run.raw.about for run in runs.values()]
    return Row(
        method=name,
        runs=len(runs),
        tasks=len(by_task),
        epochs=by_task.mean(axis=0),
        epochs_se=by_task.std(axis=0, ddof=1) / len(by_task) ** 0.5 if len(by_task) > 1 else np.zeros(len(shares)),
        seconds=np.mean([np.mean(values, axis=0) for values in seconds.values()], axis=0),
        rank=rank,
        test=_finite_mean([run.test for run in runs.values()]),
        trials=float(np.mean([a.trials for a in about])),
        tokens=float(np.mean([a.prompt_tokens + a.completion_tokens for a in about])),
        calls=float(np.mean([a.calls for a in about])),
        money=float(np.mean([np.dot(prices, (a.prompt_tokens, a.completion_tokens)) for a in about])) / 1e6,
        real_s=float(np.mean([a.real_s for a in about])),
    )


def _ranks(methods: Mapping[str, Runs]) -> dict[str, float]:
    """Return mean ranks at the end, over the tasks and seeds that every method has."""
    names = list(methods)
    common = set.intersection(*(set(runs) for runs in methods.values()))
    if not common:
        return {}
    each = [ranks(np.array([methods[name][key].final for name in names])) for key in sorted(common)]
    return dict(zip(names, np.mean(each, axis=0).tolist(), strict=True))


def _finite_mean(values: list[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def _reference(methods: Mapping[str, Runs], wanted: str) -> str:
    return next((name for name in (wanted, "random+asha", "random") if name in methods), sorted(methods)[0])


def _difference(name: str, runs: Runs, base: Runs) -> Difference | None:
    common = sorted(set(runs) & set(base))
    if not common:
        return None
    by_task, by_seed = defaultdict(list), defaultdict(list)
    tests = []
    for task, seed in common:
        mine, theirs = runs[task, seed], base[task, seed]
        by_task[task].append(mine.final - theirs.final)
        by_seed[seed].append(mine.final - theirs.final)
        tests.append(mine.test - theirs.test)
    mean = float(np.mean([np.mean(values) for values in by_task.values()]))
    p = wilcoxon(np.array([np.mean(values) for values in by_seed.values()]))
    sizes = len(by_seed), len(common)
    reach = _reach([runs[key] for key in common], [base[key] for key in common])
    return Difference(name, mean, *bootstrap(by_task), p, *sizes, _finite_mean(tests), reach)


def _reach(runs: list[Progress], base: list[Progress]) -> float:
    shares = np.arange(1, 101) / 100
    own, theirs = (
        _mean_over_tasks([(r.raw.key.task, r.at_epochs(shares * r.raw.about.epochs)) for r in part])
        for part in (runs, base)
    )
    there = own <= theirs[-1]
    return float(shares[int(np.argmax(there))]) if there.any() else math.nan


def _mean_over_tasks(curves: list[tuple[str, Floats]]) -> Floats:
    by_task = defaultdict(list)
    for task, curve in curves:
        by_task[task].append(curve)
    return np.asarray(np.mean([np.mean(values, axis=0) for values in by_task.values()], axis=0))


def main() -> None:
    """Analyse a folder of raw results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reference", default=REFERENCE)
    parser.add_argument("--no-pictures", action="store_true")
    parser.add_argument("--prices", nargs=2, type=float, default=(0.0, 0.0), help="a million tokens in, and out")
    options = parser.parse_args()
    prices = (options.prices[0], options.prices[1])
    print(json.dumps(report(options.folder, options.reference, not options.no_pictures, prices)))


if __name__ == "__main__":
    main()
