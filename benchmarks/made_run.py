"""A run that nobody ran: a journal of any size, of the events that a real run writes, from a formula.

For benchmarks and tests of what reads journals; its numbers mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import parse_data_card, parse_model_card, parse_request
from automl_gpt_ray.events import (
    AdviceGiven,
    Decision,
    Event,
    ForecastMade,
    PromptSent,
    ReplyReceived,
    ResultReported,
    RunEnded,
    RunStarted,
    Tested,
    TrialEnded,
    TrialStarted,
)
from automl_gpt_ray.journal import FILE_NAME, Journal
from automl_gpt_ray.records import (
    Config,
    LogPoint,
    Message,
    Mode,
    Observation,
    PredictedLog,
    Proposal,
    TrialState,
    Usage,
)

SOURCES = ("classical", "language", "local")
MODEL = {
    "name": "trees",
    "structure": "boosted trees",
    "description": "made up",
    "tasks": ["classification"],
    "input_types": ["tabular"],
    "architecture": {"depth": {"type": "int", "low": 1, "high": 12, "default": 6}},
    "hyperparameters": {
        "booster": {"type": "choice", "choices": ["gbtree", "dart"], "default": "gbtree"},
        "eta": {"type": "float", "low": 0.001, "high": 0.5, "log": True, "default": 0.3},
        "decay": {"type": "float", "low": 1e-6, "high": 1.0, "log": True, "default": 1e-3},
    },
    "trainable": "somewhere.trainers:train",
    "max_steps": 50,
}
DATA = {
    "name": "leaves",
    "task": "classification",
    "input_type": "tabular",
    "label_space": {"column": "species", "classes": ["oak", "elm"]},
    "metric": "accuracy",
    "size": {"train": 800, "test": 200},
    "description": "made up",
}


def make_run(
    folder: Path,
    trials: int,
    steps: int = 50,
    metric: str = "accuracy",
    mode: Mode = "max",
    forecast_every: int = 10,
    ended: bool = True,
    text: str = "",
) -> Path:
    """Write the journal of a run into `folder` and return the folder.

    Args:
        folder: Made where absent.
        trials: How many; every seventh fails, every eleventh reports a NaN, a third are stopped half way.
        steps: Of a full training.
        metric: The objective.
        mode: Of it.
        forecast_every: Steps between forecasts of a trial; 0 makes none.
        ended: Whether the run has ended.
        text: Put into every text that a person or a model may have written.
    """
    model = parse_model_card({**MODEL, "max_steps": steps, "description": f"made up {text}"})
    data = parse_data_card({**DATA, "name": f"leaves{text}"[:80]})
    brief = Brief.of(model, data, parse_request({"metrics": [metric]}))
    now = [1_700_000_000.0]
    journal = Journal(folder / FILE_NAME, clock=lambda: now[0])

    def record(event: Event) -> None:
        now[0] += 0.05
        journal.append(event)

    about = {"job": {"name": f"made{text}", "trials": trials}, "package": "0", "prompt_version": "0"}
    record(RunStarted(metric, mode, steps, 0, brief.space.default, brief.to_dict(), about))
    rng = np.random.default_rng(0)
    for number in range(trials):
        config = brief.space.sample(rng) if number else brief.space.default
        _trial(record, number, config, brief, rng, forecast_every, text)
    if ended:
        record(Tested("t0", {metric: 0.5}))
        record(RunEnded(f"all {trials} trials were run {text}"))
    journal.close()
    return folder


def _trial(
    record: Callable[[Event], object],
    number: int,
    config: Config,
    brief: Brief,
    rng: np.random.Generator,
    forecast_every: int,
    text: str,
) -> None:
    source, name = SOURCES[number % 3] if number else "default", f"t{number}"
    steps, metric = brief.max_steps, brief.objective.metric
    identity = f"{source}-{number}-0"
    if source == "language" and number % 5 == 1:
        call = f"call{number}"
        identity = f"language-{call}-0"
        said = (Message("system", "You tune. " * 200), Message("user", f"{text} history of {number} trials. " * 100))
        record(PromptSent(call, "propose", number, said))
        record(ReplyReceived(call, f'{{"reason": "{text}"}}', "made-model", Usage(1000, 100), 0.5, "stop"))
    good, pace = float(rng.uniform(0.5, 0.95)), float(rng.uniform(5, 25))
    log = _forecast(metric, good, pace, 0, steps, source, brief.objective.sign) if number % 2 else None
    proposal = Proposal(identity, config, f"made from {number} trials {text}", source, log, number, (f"a note {text}",))
    record(AdviceGiven(source, number, (proposal,)))
    share = 0.25 + 0.5 * math.sin(number / 40) ** 2
    record(TrialStarted(name, proposal, {"classical": share, "language": 0.9 - share, "local": 0.1}))
    last = steps // 2 if number % 3 == 1 else 3 if number % 7 == 6 else steps
    for step in range(1, last + 1):
        value = _value(good, pace, step, brief.objective.sign) + float(rng.normal(0, 0.004))
        value = math.nan if number % 11 == 5 and step == last else value
        record(ResultReported(name, Observation(step, {metric: value, "train_loss": 1 / step}, step * 0.1)))
        if forecast_every and step % forecast_every == 0 and step < steps:
            record(
                ForecastMade(name, step, _forecast(metric, good, pace, step, steps, "network", brief.objective.sign))
            )
    if number % 7 == 6:
        record(TrialEnded(name, TrialState.FAILED, "oom", f"CUDA out of memory {text}"))
    elif last < steps:
        record(Decision(name, "stop", f"promises little {text}", "network", last, good))
        record(TrialEnded(name, TrialState.STOPPED))
    else:
        record(TrialEnded(name, TrialState.COMPLETED))


def _value(good: float, pace: float, step: int, sign: int) -> float:
    value = good * (1 - math.exp(-step / pace))
    return value if sign > 0 else 1.2 - value


def _forecast(metric: str, good: float, pace: float, after: int, steps: int, source: str, sign: int) -> PredictedLog:
    points = []
    for step in sorted({max(after + 1, steps * i // 4) for i in range(1, 5)}):
        value, width = _value(good, pace, step, sign), 0.02 + 0.002 * (step - after)
        points.append(LogPoint(step, value, value - width, value + width))
    return PredictedLog(metric, tuple(points), source)
