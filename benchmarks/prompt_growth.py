"""Does a proposal prompt grow with the number of finished trials?

    python -m benchmarks.prompt_growth [--quick]

The classical advisor tunes the XGBoost card on the Adult card against a cheap function that behaves as
training does: curves that flatten, a few hyperparameters that matter, early stops, two classes of failure.
At 50, 200 and 1,000 finished trials the prompt for four proposals is made as the language-model advisor
makes it, with the optimiser's insight, and measured by the estimate that budgets are held to.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.insight import insight_of
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.config import load_job
from automl_gpt_ray.events import AdviceGiven, ResultReported, RunStarted, TrialEnded, TrialStarted
from automl_gpt_ray.prompts.paragraph import proposal_prompt
from automl_gpt_ray.prompts.tokens import estimated_tokens
from automl_gpt_ray.records import Config, History, Observation, TrialRecord, TrialState

JOB = Path(__file__).parents[1] / "configs" / "adult_xgboost.yaml"
COUNTS = (50, 200, 1000)
AT_ONCE, QUEUED, WANTED = 8, 4, 4
GOAL = 1.25
TIGHT = 4000


@dataclass(frozen=True)
class Row:
    """One prompt: tokens are estimates, characters are counted; `insight_s` are its CPU seconds.

    `run` is the part of `tokens` that tells of the run: history and insight, without cards and schema.
    """

    seed: int
    finished: int
    tokens: int
    run: int
    plain: int
    limited: int
    characters: int
    insight_s: float


def main() -> None:
    """Print a table of prompt lengths and a closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed instead of three")
    seeds = range(1 if parser.parse_args().quick else 3)
    brief = load_job(JOB).brief
    print(f"seed  finished  tokens  of the run  without insight  limit {TIGHT}  characters  insight CPU s")
    rows = []
    for seed in seeds:
        for row in measured(brief, seed):
            rows.append(row)
            print(
                f"{row.seed:4}  {row.finished:8}  {row.tokens:6}  {row.run:10}  {row.plain:15}  {row.limited:10}"
                f"  {row.characters:10}  {row.insight_s:13.2f}",
                flush=True,
            )
    print(json.dumps(figures(rows)))


def figures(rows: list[Row]) -> dict[str, object]:
    """Return the closing figures: mean tokens at each count and the largest growth of any seed."""
    seeds = {row.seed for row in rows}
    means = {str(count): round(float(np.mean([at(rows, seed, count).tokens for seed in seeds]))) for count in COUNTS}
    pairs = [(at(rows, seed, COUNTS[0]), at(rows, seed, COUNTS[-1])) for seed in seeds]
    growth = max(last.tokens / first.tokens for first, last in pairs)
    return {
        "benchmark": "prompt_growth",
        "seeds": len(seeds),
        "tokens": means,
        "ratio": round(growth, 3),
        "ratio_of_the_run": round(max(last.run / first.run for first, last in pairs), 3),
        "goal": GOAL,
        "held": growth <= GOAL,
        "longest_under_limit": max(row.limited for row in rows),
        "limit": TIGHT,
    }


def at(rows: list[Row], seed: int, count: int) -> Row:
    """Return the first row of `seed` with at least `count` finished trials."""
    return next(row for row in rows if row.seed == seed and row.finished >= count)


def measured(brief: Brief, seed: int) -> Iterator[Row]:
    """Yield the prompt's size at each count of finished trials."""
    informed = insight_of(brief.space, seed)
    for history in histories(brief, seed):
        began = time.thread_time()
        insight = informed(history)
        seconds = time.thread_time() - began
        prompt = proposal_prompt(brief, history, WANTED, insight)
        yield Row(
            seed=seed,
            finished=finished(history),
            tokens=estimated_tokens(prompt),
            run=estimated_tokens(prompt) - estimated_tokens(proposal_prompt(brief, None, WANTED)),
            plain=estimated_tokens(proposal_prompt(brief, history, WANTED)),
            limited=estimated_tokens(proposal_prompt(brief, history, WANTED, insight, TIGHT)),
            characters=sum(len(message.content) for message in prompt.messages),
            insight_s=seconds,
        )


def histories(brief: Brief, seed: int) -> Iterator[History]:
    """Run the classical advisor and yield its history at each count, eight trials training and four waiting."""
    book, advisor, rng = Book(), ClassicalAdvisor(brief.space, seed), np.random.default_rng(seed)
    objective = brief.objective
    book.record(RunStarted(objective.metric, objective.mode, brief.max_steps, seed, brief.space.default))
    targets = list(COUNTS)
    while targets:
        history = book.history()
        made = advisor.propose(history, AT_ONCE + QUEUED - len(history.pending))
        book.record(AdviceGiven("classical", history.version, tuple(made), wanted=len(made)))
        for proposal in book.queued()[:AT_ONCE]:
            book.record(TrialStarted(f"t{len(book.history().trials)}", proposal))
        running = book.history().in_state(TrialState.RUNNING)
        for trial in running:
            train(book, brief, trial, brief.max_steps // 2, rng)
        if finished(book.history()) >= targets[0]:
            targets.pop(0)
            yield book.history()
        median = middle(book.history())
        for trial in running:
            end(book, brief, trial, median, rng)


def train(book: Book, brief: Brief, trial: TrialRecord, until: int, rng: np.random.Generator) -> None:
    """Report the steps of `trial` up to `until`."""
    loss = final_loss(brief, trial.config) + 0.003 * float(rng.normal())
    known = book.trial(trial.id)
    for step in range(known.last_step + 1 if known else 1, until + 1):
        value = loss + 0.3 * math.exp(-6.0 * step / brief.max_steps)
        metrics = {brief.objective.metric: value, "accuracy": 1.0 - value / 2}
        book.record(ResultReported(trial.id, Observation(step, metrics, 1.5 * step)))


def end(book: Book, brief: Brief, trial: TrialRecord, median: float, rng: np.random.Generator) -> None:
    """Fail, stop or complete a trial that is halfway."""
    config, half = trial.config, book.trial(trial.id)
    value = half.value(brief.objective) if half else None
    work = float(config["max_depth"]) * float(config["rounds_per_step"])  # type: ignore[arg-type]
    if work > 170 or rng.random() < 0.02:
        failure = "oom" if work > 170 else "worker_died"
        book.record(TrialEnded(trial.id, TrialState.FAILED, failure))
    elif value is not None and value > median:
        book.record(TrialEnded(trial.id, TrialState.STOPPED))
    else:
        train(book, brief, trial, brief.max_steps, rng)
        book.record(TrialEnded(trial.id, TrialState.COMPLETED))


def final_loss(brief: Brief, config: Config) -> float:
    """Return a smooth loss with its minimum inside the space: a few hyperparameters matter, most hardly do."""
    unit = brief.space.to_unit(config)
    weights = 0.3 * 0.6 ** np.arange(len(unit))[::-1]
    best = 0.2 + 0.6 * (np.arange(len(unit)) % 5) / 4
    return 0.28 + float(np.nansum(weights * (unit - best) ** 2))


def middle(history: History) -> float:
    """Return the median best value; infinity before the first."""
    values = [v for t in history.trials if (v := t.value(history.objective)) is not None]
    return float(np.median(values)) if values else math.inf


def finished(history: History) -> int:
    """Return how many trials ended."""
    return sum(trial.state.ended for trial in history.trials)


if __name__ == "__main__":
    main()
