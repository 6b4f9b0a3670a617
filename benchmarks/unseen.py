"""A data set nobody has seen: what is earlier runs on similar data worth? (AutoML-GPT, fig. 4, with its controls).

    python -m benchmarks.unseen --data FOLDER [--quick] [--seeds N] [--trials K] [--steps S] [--images I]
                                [--raw FILE] [--llm-url URL --llm-model NAME]

Real runs of this package, through Ray: first on the source sets, which leaves experience, then on the new set (see
`unseen_data`), each with the same number of real trials and the same default. Rows, by validation accuracy of what each
would choose, and test accuracy of the same:

    mean of random     the mean over random settings, no choice made
    best of random     the best of as many random settings
    default            the Model Card's default alone: one trial
    copied             the best setting of the most similar data set alone: one trial
    without cards      this package, told nothing of other data
    with cards         the same, told of the two sources
    unlike card        the same, told of the digits alone: the control of "with cards"
    model ...          with and without cards again, with a language model in charge

`forecasts` in the last line is how well each predicted log of the runs with cards came true, beside the log of the most
similar card copied.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.outcome import Outcome
from benchmarks.predicted_logs import Scored, pooled, scored, show
from benchmarks.small_jobs import Jobs, first_by, mean_and_error
from benchmarks.unseen_data import DIGITS, SOURCES, cards

MODEL = Path(__file__).resolve().parents[1] / "configs" / "cards" / "models" / "small_cnn.yaml"


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        seeds: Repetitions, sources included.
        trials: Of each run.
        steps: Epochs of each trial.
        train: Images of each set for training and validation.
        test: Images of each set for the test.
    """

    seeds: int = 5
    trials: int = 6
    steps: int = 5
    train: int = 2000
    test: int = 1000


QUICK = Size(seeds=1, trials=3, steps=2, train=800, test=400)


@dataclass(frozen=True)
class Row:
    """What one way of choosing came to, once: accuracy on validation images, and on test images where it was scored."""

    validation: float
    test: float | None = None


Once = tuple[dict[str, Row], list[Scored]]
"""The rows of one repetition, and how its predicted logs came true."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything, print the table, and close with one line of JSON."""
    options = _options(arguments)
    size = QUICK if options.quick else Size(options.seeds, options.trials, options.steps, options.images)
    llm = OpenAIClient(options.llm_model, options.llm_url) if options.llm_url else None
    rows: dict[str, list[Row]] = defaultdict(list)
    forecasts: list[Scored] = []
    kept = _kept(options.raw)
    for seed in range(size.seeds):
        if str(seed) not in kept:
            with tempfile.TemporaryDirectory() as folder:
                kept[str(seed)] = _once(Path(folder), Path(options.data), size, seed, llm)
            _keep(options.raw, seed, *kept[str(seed)])
        once, told = kept[str(seed)]
        forecasts += told
        for name, row in once.items():
            rows[name].append(row)
        print(f"seed {seed}: " + ", ".join(f"{name} {row.validation:.3f}" for name, row in once.items()), flush=True)
    _table(rows)
    show(forecasts)
    figures = {name: _summary(found) for name, found in rows.items()}
    told_about = {"seeds": size.seeds, "trials": size.trials, "steps": size.steps, "images": size.train}
    print(json.dumps({"accuracy": figures, "gain": _gains(rows), "forecasts": pooled(forecasts), **told_about}))


def _once(folder: Path, data: Path, size: Size, seed: int, llm: LLMClient | None) -> Once:
    made = cards(folder / "data", data, size.train, size.test)
    request = {"metrics": ["accuracy", "log_loss"]}
    common = {
        "model_card": str(MODEL),
        "request": request,
        "trials": size.trials,
        "max_steps": size.steps,
        "seed": seed,
    }
    jobs, new = Jobs(folder, common), made["new"]
    for name in SOURCES:
        jobs.run(name, made[name], "known")
    jobs.run(DIGITS, made[DIGITS], "unlike")
    drawn, best, test = jobs.random("random", new)
    plain = jobs.run("without", new)
    told = jobs.run("with", new, "known", adds=False)
    unlike = jobs.run("unlike", new, "unlike", adds=False)
    rows = {
        "mean of random": Row(float(np.mean(drawn))),
        "best of random": Row(best, test),
        "default": _value(plain, "default"),
        "copied": _copied(told),
        "without cards": _row(plain),
        "with cards": _row(told),
        "unlike card": _row(unlike),
    }
    forecasts = scored(Path(told.run_dir))
    if llm is not None:
        rows["model without cards"] = _row(jobs.run("model-without", new, llm=llm))
        by_model = jobs.run("model-with", new, "known", adds=False, llm=llm)
        rows["model with cards"] = _row(by_model)
        forecasts += scored(Path(by_model.run_dir))
    return rows, forecasts


def _kept(raw: Path | None) -> dict[str, Once]:
    """Return what a file of raw results holds, by seed."""
    lines = [json.loads(line) for line in raw.read_text("utf-8").splitlines()] if raw and raw.exists() else []
    return {
        str(told["seed"]): (
            {name: Row(**row) for name, row in told["rows"].items()},
            [Scored(**found) for found in told["forecasts"]],
        )
        for told in lines
    }


def _keep(raw: Path | None, seed: int, rows: dict[str, Row], forecasts: list[Scored]) -> None:
    if raw is None:
        return
    told = {
        "seed": seed,
        "rows": {name: asdict(row) for name, row in rows.items()},
        "forecasts": [asdict(found) for found in forecasts],
    }
    with raw.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")


def _row(outcome: Outcome) -> Row:
    validation, test = outcome.validation or {}, outcome.test or {}
    return Row(validation[outcome.metric], test.get(outcome.metric))


def _value(outcome: Outcome, source: str) -> Row:
    found = first_by(outcome, source)
    return Row(float("nan") if found is None else found)


def _copied(told: Outcome) -> Row:
    """Return what the settings of the most similar card reach; where nothing there beat the default, that is it."""
    found = first_by(told, "recalled")
    return _value(told, "default") if found is None else Row(found)


def _summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    tests = [row.test for row in rows if row.test is not None]
    found = {"validation": mean_and_error([row.validation for row in rows])}
    return {**found, "test": mean_and_error(tests)} if tests else found


def _gains(rows: dict[str, list[Row]]) -> dict[str, dict[str, float]]:
    """Return by how much each control is beaten on the same seeds, in validation accuracy."""
    pairs = [("with cards", other) for other in ("without cards", "unlike card", "copied", "best of random")]
    pairs += [("model with cards", "model without cards"), ("model with cards", "with cards")]
    return {
        f"{name} over {other}": mean_and_error(
            [mine.validation - its.validation for mine, its in zip(rows[name], rows[other], strict=True)]
        )
        for name, other in pairs
        if rows.get(name) and rows.get(other)
    }


def _table(rows: dict[str, list[Row]]) -> None:
    print("\n| way of choosing | validation accuracy | test accuracy |\n|---|---|---|")
    for name, found in rows.items():
        cells = [f"{told['mean']:.3f} ({told['error']:.3f})" for told in _summary(found).values()]
        print(f"| {name} | {cells[0]} | {cells[1] if len(cells) > 1 else '-'} |")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="folder with cifar10_sample and mnist_t10k")
    parser.add_argument("--quick", action="store_true", help="one seed, small")
    parser.add_argument("--seeds", type=int, default=Size.seeds)
    parser.add_argument("--trials", type=int, default=Size.trials)
    parser.add_argument("--steps", type=int, default=Size.steps, help="epochs of each trial")
    parser.add_argument("--images", type=int, default=Size.train, help="of each set, for training and validation")
    parser.add_argument("--raw", type=Path, help="keeps each repetition in this file, and takes those that it holds")
    parser.add_argument("--llm-url", help="an OpenAI-compatible server, for the model's rows")
    parser.add_argument("--llm-model", default="test-model")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
