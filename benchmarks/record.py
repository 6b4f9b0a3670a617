"""Record learning curves of this package's own trainers, for the simulator to replay.

    python -m benchmarks.record                      # everything; goes on where it was interrupted
    python -m benchmarks.record --quick              # three configurations a task, into a temporary file

Every configuration is drawn at random from the Model Card's space (the first is the default) and trained
in full; validation and test scores of every step are kept, test scores from the step's own checkpoint.
Nothing here is known to a tuner: `problems.py` reads what this wrote.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import DataCard, Request, load_data_card, load_model_card
from automl_gpt_ray.errors import TrainingError
from automl_gpt_ray.records import Config
from automl_gpt_ray.training.steps import Step
from automl_gpt_ray.training.task import TrainingTask

CARDS = Path(__file__).resolve().parents[1] / "configs" / "cards"
FILE = Path(__file__).resolve().parent / "data" / "recorded.parquet"
SEED = 20230504
STEPS = 30
CONFIGURATIONS = 300
KEPT = ("accuracy", "log_loss", "rmse", "r2")
SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Recipe:
    """What is recorded as one task.

    Attributes:
        name: Of the task.
        model: Model Card's file name, without ending.
        data: Data Card's, likewise.
        metric: Optimised.
        changes: Fields of the Data Card that differ: larger hold-outs make scores less coarse.
    """

    name: str
    model: str
    data: str
    metric: str
    changes: Mapping[str, Any]

    def brief(self) -> Brief:
        """Return what a tuner of this task would be told."""
        data = load_data_card(CARDS / "data" / f"{self.data}.yaml")
        card = DataCard.model_validate({**data.model_dump(exclude_unset=True), **self.changes})
        model = load_model_card(CARDS / "models" / f"{self.model}.yaml")
        return Brief.of(model, card, Request(metrics=[self.metric]), max_steps=STEPS)


_WIDE = {"test_share": 0.3, "validation_share": 0.4}
_SCARCE = {"test_share": 0.4, "validation_share": 0.75}
RECIPES = (
    Recipe("xgboost-breast_cancer", "xgboost", "breast_cancer", "log_loss", _WIDE),
    Recipe("xgboost-wine", "xgboost", "wine", "log_loss", _WIDE),
    Recipe("xgboost-diabetes", "xgboost", "diabetes", "rmse", _WIDE),
    Recipe("xgboost-iris", "xgboost", "iris", "log_loss", _WIDE),
    Recipe("xgboost-breast_cancer_85", "xgboost", "breast_cancer", "log_loss", _SCARCE),
    Recipe("xgboost-diabetes_66", "xgboost", "diabetes", "rmse", _SCARCE),
    Recipe("cnn-digits_360", "small_cnn", "digits", "accuracy", {"test_share": 0.6, "validation_share": 0.5}),
)
"""Numbers at the end of a name: training examples, where they were made few."""


def curve(brief: Brief, config: Config) -> dict[str, Any]:
    """Train `config` in full and return its scores a step, seconds and how it ended, as JSON values."""
    if brief.model is None or brief.data is None:
        raise ValueError("a recorded task needs a Model Card and a Data Card")
    task = TrainingTask(brief.data, brief.objective, brief.max_steps, seed=SEED)
    trainer = _trainer(brief.model.trainable)
    found: dict[str, Any] = {"config": dict(config), "status": "completed", "seconds": []}
    scores: dict[str, list[float]] = {}
    try:
        for step, seconds in _timed(trainer.fit(config, task)):
            found["seconds"].append(seconds)
            for name, value in _both(trainer, config, task, step).items():
                scores.setdefault(name, []).append(value)
    except TrainingError as error:
        found["status"] = error.kind
    return {**found, **scores}


def write(recipes: Mapping[str, Brief], lines: Mapping[str, list[dict[str, Any]]], file: Path) -> None:
    """Write all tasks as one parquet file; each task's brief goes into the file's metadata."""
    columns = [f"{split}_{name}" for split in SPLITS for name in KEPT]
    rows = [
        {"task": task, "index": index, **line, "config": json.dumps(line["config"])}
        for task, recorded in lines.items()
        for index, line in enumerate(recorded)
    ]
    floats = pa.list_(pa.float32())
    fields = [("task", pa.string()), ("index", pa.int32()), ("config", pa.string()), ("status", pa.string())]
    schema = pa.schema([*fields, ("seconds", floats), *((name, floats) for name in columns)])
    briefs = {"briefs": json.dumps({name: brief.to_dict() for name, brief in recipes.items()})}
    table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
    pq.write_table(table.replace_schema_metadata(briefs), file, compression="zstd")


def main() -> None:
    """Record what is missing, then write the parquet file anew."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / FILE.name if options.quick else options.out
        count = 3 if options.quick else options.configurations
        folder = file.with_suffix("")
        folder.mkdir(parents=True, exist_ok=True)
        briefs, lines = {}, {}
        for recipe in (r for r in RECIPES if options.tasks is None or r.name in options.tasks):
            briefs[recipe.name] = recipe.brief()
            lines[recipe.name] = list(_recorded(briefs[recipe.name], folder / f"{recipe.name}.jsonl", count))
            write(briefs, lines, file)
        size = file.stat().st_size
    print(json.dumps({"tasks": len(lines), "curves": sum(map(len, lines.values())), "bytes": size}))


def _recorded(brief: Brief, file: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield `count` curves: those that `file` holds already, then new ones, each appended at once."""
    known = [json.loads(text) for text in file.read_text("utf-8").splitlines()] if file.exists() else []
    yield from known[:count]
    began = time.perf_counter()
    with file.open("a", encoding="utf-8") as stream:
        for index in range(len(known), count):
            # A generator a configuration: going on after an interruption draws the same ones.
            rng = np.random.default_rng([SEED, index])
            line = curve(brief, brief.space.sample(rng) if index else brief.space.default)
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            yield line
    print(f"{file.stem}: {count - len(known)} trained in {time.perf_counter() - began:.0f} s", flush=True)


def _timed(steps: Iterator[Step]) -> Iterator[tuple[Step, float]]:
    """Yield steps with the processor's seconds of their training so far: other work here counts for nothing."""
    spent = 0.0
    while True:
        began = time.process_time()
        step = next(steps, None)
        spent += time.process_time() - began
        if step is None:
            return
        yield step, spent


def _both(trainer: Any, config: Config, task: TrainingTask, step: Step) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        step.save(Path(folder))
        tested = trainer.evaluate(config, task, folder)
    pairs = zip(SPLITS, (step.metrics, tested), strict=True)
    found = {f"{split}_{name}": float(scores[name]) for split, scores in pairs for name in KEPT if name in scores}
    return {name: value if math.isfinite(value) else math.nan for name, value in found.items()}


def _trainer(trainable: str) -> Any:
    # By name, so that torch is only loaded where it is used.
    if trainable.startswith("automl_gpt_ray.training.tabular:"):
        from automl_gpt_ray.training import tabular

        return tabular
    from automl_gpt_ray.training import image_classification

    return image_classification


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three configurations a task, nothing kept")
    parser.add_argument("--out", type=Path, default=FILE, help="parquet file; its working folder stands beside it")
    parser.add_argument("--configurations", type=int, default=CONFIGURATIONS)
    parser.add_argument("--tasks", nargs="*", choices=[r.name for r in RECIPES], help="by default all")
    return parser.parse_args()


if __name__ == "__main__":
    main()
