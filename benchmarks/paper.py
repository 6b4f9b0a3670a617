"""The paper's three other pictures as real jobs, and what it never gave: how well the predicted logs came true.

    python -m benchmarks.paper --data FOLDER [--quick] [--only adult coco nq] [--trials N] [--max-steps N]
                               [--llm-url URL --llm-model NAME]

    adult   tables (fig. 7): XGBoost on UCI Adult, its official test split
    coco    detection (fig. 5): a small DETR from random weights on 128 pictures of COCO; the test pictures are few
    nq      retrieval (fig. 6): a small bi-encoder from random weights, BM25 beside it; then once more with the
            additional request that it answer faster than what was chosen first

Each job's own file in `configs/` says what is trained; every row stands beside its Model Card's default (published
settings). Fig. 4, unseen data, is `benchmarks.unseen`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl_gpt_ray.config import load_job
from automl_gpt_ray.outcome import Outcome
from automl_gpt_ray.ray_tune.configured_llm import configured
from automl_gpt_ray.ray_tune.run import run
from benchmarks.predicted_logs import Scored, pooled, scored, show
from benchmarks.small_jobs import first_by

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FASTER = 0.7
"""The additional request: at most this share of the latency of what was chosen first."""


@dataclass(frozen=True)
class Experiment:
    """A job of the paper.

    Attributes:
        job: File in `configs/`.
        data: Folder of its data.
        trials: Of a full run.
        shown: Test metrics worth a column.
        quick: What `--quick` changes in the job.
        faster: Whether it is run once more with the request for lower latency.
    """

    job: str
    data: str
    trials: int
    shown: tuple[str, ...]
    quick: Mapping[str, Any] = field(default_factory=dict)
    faster: bool = False


NQ = ("recall_at_1", "recall_at_5", "recall_at_20", "bm25_recall_at_1", "bm25_recall_at_5", "bm25_recall_at_20")
EXPERIMENTS: Mapping[str, Experiment] = {
    "adult": Experiment("adult_xgboost.yaml", "adult", 30, ("accuracy", "roc_auc", "log_loss"), {"trials": 6}),
    "coco": Experiment("coco128_detr.yaml", "coco128", 6, ("map", "map_50"), {"trials": 2, "max_steps": 3}),
    "nq": Experiment("nq_open_dpr.yaml", "nq_dpr", 12, NQ, {"trials": 2, "max_steps": 2}, faster=True),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiments, print their tables, and close with one line of JSON."""
    options = _options(arguments)
    rows: dict[str, Any] = {}
    forecasts: list[Scored] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            experiment = EXPERIMENTS[name]
            outcome = _run(name, experiment, Path(folder), options)
            rows[name] = _told(name, outcome, experiment)
            forecasts += scored(Path(outcome.run_dir))
            latency = (outcome.validation or {}).get("latency_ms")
            if experiment.faster and latency:
                limits = {"constraints": {"latency_ms": latency * FASTER}}
                faster = _run(f"{name}-faster", experiment, Path(folder), options, limits)
                rows[f"{name}, faster"] = _told(f"{name}, faster", faster, experiment)
                forecasts += scored(Path(faster.run_dir))
    show(forecasts)
    print(json.dumps({"runs": rows, "forecasts": pooled(forecasts)}))


def _run(
    name: str,
    experiment: Experiment,
    folder: Path,
    options: argparse.Namespace,
    request: Mapping[str, Any] | None = None,
) -> Outcome:
    changes: dict[str, Any] = {
        "name": name,
        "data.path": str(Path(options.data) / experiment.data),
        "trials": experiment.trials,
        "storage_path": str(folder),
        "seed": options.seed,
        "experience": "off",
        **(experiment.quick if options.quick else {}),
        **({"trials": options.trials} if options.trials else {}),
        **({"max_steps": options.max_steps} if options.max_steps else {}),
        **{f"request.{key}": value for key, value in (request or {}).items()},
    }
    if options.llm_url:
        changes["llm"] = {"model": options.llm_model, "base_url": options.llm_url}
    loaded = load_job(CONFIGS / experiment.job, changes)
    llm = configured(loaded.job.llm) if loaded.job.llm else None
    return run(loaded, llm, tell=lambda line: print(f"  {line}", flush=True))


def _told(name: str, outcome: Outcome, experiment: Experiment) -> dict[str, Any]:
    """Return the row of an experiment, printed as soon as it is known: the next may take long."""
    row = _row(outcome, experiment)
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


def _row(outcome: Outcome, experiment: Experiment) -> dict[str, Any]:
    test, validation = outcome.test or {}, outcome.validation or {}
    return {
        "metric": outcome.metric,
        "trials": outcome.trials["total"],
        "default": _rounded(first_by(outcome, "default")),
        "best": _rounded(validation.get(outcome.metric)),
        "first": _rounded(outcome.real_log[0][1] if outcome.real_log else None),
        "latency_ms": _rounded(validation.get("latency_ms")),
        "test": {name: _rounded(test[name]) for name in experiment.shown if name in test},
        "seconds": round(outcome.wall_seconds),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="folder with the folders adult, coco128 and nq_dpr")
    parser.add_argument("--quick", action="store_true", help="few trials of few steps")
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), default=list(EXPERIMENTS))
    parser.add_argument("--trials", type=int, help="of each job; default: as the experiment says")
    parser.add_argument("--max-steps", type=int, help="of each trial; default: as its Model Card says")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--llm-url", help="an OpenAI-compatible server, to put a model in charge")
    parser.add_argument("--llm-model", default="test-model")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
