"""How good the curve predictors are: final values from partial curves and from configurations alone.

    python -m benchmarks.forecasts --curves FOLDER [--quick]

For each task, a context of 5, 20 or 60 trials is drawn; 30 % of them ran to their end, the others to a
log-uniform step. Of 20 other trials the first 0, 10, 25 or 50 % is shown, and the last value asked for. The
scores are on the task's own scale, on which its median configuration is 0 and its best 1, cut at -1 and 1.5:

    error       mean absolute error of the median
    pinball     mean pinball loss at the 10, 50 and 90 % quantiles
    likelihood  mean log density of a two-piece normal with these quantiles, 1 % of it spread over the scale
    coverage    share of the truths within the 80 % interval
    wide        share within the 90 % interval: the 80 % one, widened as a normal's
    rank        Spearman's correlation across the 20 trials; 0 for a constant forecast
    seconds     of one call for all 20 questions, median

The last line is JSON: suite -> context size -> share observed -> predictor -> scores.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.last_value import LastValue
from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.median_curve import MedianCurve
from automl_gpt_ray.curves.parametric import ParametricFit
from automl_gpt_ray.curves.predictor import Z90, Array, Context, Curve, CurvePredictor, Forecasts, Query
from automl_gpt_ray.curves.scoring import covered, pinball, rank_correlation
from benchmarks.forecast_data import SUITES, Task, load

CONTEXTS = (5, 20, 60)
SHARES = (0.0, 0.1, 0.25, 0.5)
ASKED = 20
COMPLETE = 0.3
SCORES = ("error", "pinball", "likelihood", "coverage", "wide", "rank", "seconds")
SHOWN = ("error", "likelihood", "coverage", "rank")
# A normal's 95 % quantile over its 90 % one; the narrowest spread that counts, and the share of outliers.
WIDER, NARROW, OUTLIERS = 1.2835, 0.002, 0.01
NAIVE: tuple[CurvePredictor, ...] = (LastValue(), MedianCurve(), ParametricFit(), FreezeThaw())
PREDICTORS = NAIVE if weights.unavailable() else (*NAIVE, LearnedForecaster.shipped())


@dataclass(frozen=True)
class Row:
    """The scores of one predictor on one set of questions; SCORES gives their order."""

    suite: str
    known: int
    share: float
    predictor: str
    scores: tuple[float, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table a suite, and the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description="Quality of learning-curve forecasts.")
    parser.add_argument("--curves", type=Path, required=True, help="folder of the parquet files")
    parser.add_argument("--quick", action="store_true", help="one draw of three tasks a suite")
    parser.add_argument("--repeats", type=int, default=3, help="draws a task")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for suite in SUITES:
        tasks = load(options.curves, suite)[: 3 if options.quick else None]
        for repeat in range(1 if options.quick else options.repeats):
            rows += [row for task in tasks for row in measured(task, repeat)]
        show([row for row in rows if row.suite == suite])
    print(json.dumps(figures(rows)))


def measured(task: Task, seed: int, predictors: Sequence[CurvePredictor] = PREDICTORS) -> Iterator[Row]:
    """Yield a row for each context size, share observed and predictor."""
    for known in CONTEXTS:
        context, asked = drawn(task, known, np.random.default_rng([seed, known]))
        truth = own_scale(task, task.curves[asked, -1])
        for share in SHARES:
            seen = round(share * task.max_step)
            queries = [Query(curve(task, i, seen), task.max_step) for i in asked]
            for predictor in predictors:
                began = time.perf_counter()
                forecasts = predictor.predict(context, queries)
                seconds = time.perf_counter() - began
                yield Row(task.suite, known, share, predictor.name, (*scored(task, forecasts, truth), seconds))


def drawn(task: Task, known: int, rng: np.random.Generator) -> tuple[Context, list[int]]:
    """Return a context of `known` trials, and other configurations to ask about."""
    order = [int(i) for i in rng.permutation(len(task.curves))]
    lengths = np.exp(rng.uniform(0.0, np.log(task.max_step), known)).round().astype(int)
    lengths[rng.random(known) < COMPLETE] = task.max_step
    curves = tuple(curve(task, i, int(n)) for i, n in zip(order[:known], lengths, strict=True))
    return Context(curves, task.objective, task.max_step), order[known : known + ASKED]


def curve(task: Task, i: int, seen: int) -> Curve:
    """Return the first `seen` steps of configuration `i`."""
    return Curve(str(i), task.vectors[i], np.arange(1, seen + 1, dtype=float), task.curves[i, :seen])


def own_scale(task: Task, values: Array) -> Array:
    """Return values on the task's scale: its median configuration 0, its best 1; what diverged is -1."""
    finals = task.objective.sign * task.curves[:, -1]
    finals = finals[np.isfinite(finals)]
    middle, best = float(np.median(finals)), float(finals.max())
    with np.errstate(invalid="ignore"):
        z = (task.objective.sign * values - middle) / (best - middle)
    return np.clip(np.where(np.isfinite(values), z, -1.0), -1.0, 1.5)


def scored(task: Task, forecasts: Forecasts, truth: Array) -> tuple[float, ...]:
    """Return error, pinball, coverage and rank of forecasts of the finals `truth`."""
    told = (forecasts.low, forecasts.median, forecasts.high)
    quantiles = np.sort(np.stack([own_scale(task, values) for values in told], axis=1), axis=1)
    wide = quantiles[:, 1:2] + WIDER * (quantiles - quantiles[:, 1:2])
    return (
        float(np.abs(quantiles[:, 1] - truth).mean()),
        float(pinball(quantiles, truth).mean()),
        float(likelihood(quantiles, truth).mean()),
        float(covered(quantiles, truth).mean()),
        float(covered(wide, truth).mean()),
        rank_correlation(quantiles[:, 1], truth) or 0.0,
    )


def likelihood(quantiles: Array, truth: Array) -> Array:
    """Return the log density of each truth, shape (n,); quantiles as of `pinball`."""
    low, middle, high = quantiles.T
    below, above = np.maximum((middle - low) / Z90, NARROW), np.maximum((high - middle) / Z90, NARROW)
    off = (truth - middle) / np.where(truth < middle, below, above)
    density = np.sqrt(2 / np.pi) / (below + above) * np.exp(-0.5 * off**2)
    return np.asarray(np.log((1 - OUTLIERS) * density + OUTLIERS / 2.5))


def figures(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]:
    """Return the means of all scores (of seconds, the median), nested as the module says."""
    groups: dict[tuple[str, int, float, str], list[tuple[float, ...]]] = {}
    for row in rows:
        groups.setdefault((row.suite, row.known, row.share, row.predictor), []).append(row.scores)
    found: dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]] = {}
    for (suite, known, share, predictor), scores in groups.items():
        means = [*np.mean(scores, axis=0)[:-1], np.median([s[-1] for s in scores])]
        place = found.setdefault(suite, {}).setdefault(str(known), {}).setdefault(f"{share:g}", {})
        place[predictor] = {name: round(float(v), 4) for name, v in zip(SCORES, means, strict=True)}
    return found


def show(rows: Sequence[Row]) -> None:
    """Print one suite as a Markdown table: SHOWN of each predictor."""
    names = [p.name for p in PREDICTORS]
    print(f"\n{rows[0].suite}: {' / '.join(SHOWN)}\n")
    print("| known | seen | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    for known, shares in figures(rows)[rows[0].suite].items():
        for share, told in shares.items():
            cells = [" / ".join(f"{told[n][s]:.3f}" for s in SHOWN) for n in names]
            print(f"| {known} | {float(share):.0%} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
