"""One run of the table: a method on a problem with a seed, simulated and written down."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from automl_gpt_ray.llm.openai_client import OpenAIClient
from benchmarks import raw
from benchmarks.controls import ALL
from benchmarks.language import Metered
from benchmarks.methods import Pair, Setting
from benchmarks.noise import Noise
from benchmarks.problems import Problem, Table
from benchmarks.replay import Costs, Limits, Replay
from benchmarks.simulator import Simulator
from benchmarks.surrogate import Surrogate


def simulate(
    key: raw.RunKey,
    problem: Table | Surrogate,
    others: Sequence[Table | Surrogate],
    trainings: int,
    workers: int,
    out: Path,
    switch_s: float = 0.0,
    llm_url: str | None = None,
    llm_model: str = "default",
    noise: float = 0.0,
) -> None:
    """Simulate the run that `key` names and write its raw results below `out`.

    Args:
        key: Names method and seed.
        problem: The task's.
        others: The suite's.
        trainings: Budget in full trainings.
        workers: Trials at once.
        out: Folder of raw results.
        switch_s: Virtual seconds to pause a trial, and again to resume it.
        llm_url: Server of the language model; the methods that need none do not call it.
        llm_model: The model's name there.
        noise: Standard deviation of the error on every value that methods are shown.
    """
    method = ALL[key.method]
    client = Metered(OpenAIClient(llm_model, llm_url)) if method.needs_llm and llm_url else None
    epochs = trainings * problem.brief.max_steps
    # Ray's ASHA draws its brackets from NumPy's global generator.
    np.random.seed(key.seed)  # noqa: NPY002
    random.seed(key.seed)
    began = time.perf_counter()
    tables = [other.table if isinstance(other, Surrogate) else other for other in others]
    made = method.make(Setting(problem, key.seed, workers, epochs, client, tables))
    replay = (
        made
        if isinstance(made, Replay)
        else _simulated(made, problem, workers, epochs, switch_s, Noise(noise, key.seed))
    )
    spent = client.spent if client else None
    about = raw.About(
        mode=problem.brief.objective.mode,
        best=problem.best,
        median=problem.median,
        test_best=problem.test_best,
        test_median=problem.test_median,
        workers=workers,
        epochs=epochs,
        ended=replay.ended,
        virtual_s=replay.seconds,
        real_s=time.perf_counter() - began,
        calls=client.calls if client else 0,
        prompt_tokens=spent.prompt_tokens if spent else 0,
        completion_tokens=spent.completion_tokens if spent else 0,
        trials=len({e.trial for e in replay.evaluations}),
    )
    raw.write(out, key, about, problem, replay)


def _simulated(pair: Pair, problem: Problem, workers: int, epochs: int, switch_s: float, noise: Noise) -> Replay:
    options = {"as_ray": True, "noise": noise, "costs": Costs(pause_s=switch_s, resume_s=switch_s), **pair.options}
    limits = Limits(epochs=epochs)
    replay = Simulator(problem, pair.searcher, pair.scheduler, workers=workers, limits=limits, **options).run()
    close = getattr(pair.searcher, "close", None)
    if close is not None:
        close()
    return replay
