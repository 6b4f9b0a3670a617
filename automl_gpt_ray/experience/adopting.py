"""Adopting: what others searched before, an Optuna study or a Ray Tune experiment, as experience.

Cards are needed besides, for neither says what the data was. Reads plain values and files; imports neither library.
A name that the Model Card does not have is left out, and said; one that the trial does not have is the default's.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.experience.run_record import Experience
from automl_gpt_ray.records import Config, Observation, Proposal, TrialRecord, TrialState

RESULTS, PARAMETERS, ERROR = "result.json", "params.json", "error.txt"
# What Ray Tune adds to every result of its own.
_RAYS = re.compile(
    r"time|timestamp|pid|iterations_since|timesteps|episodes|training_iteration|checkpoint|done|should_|step$|seconds$"
)
_STATES = {"COMPLETE": TrialState.COMPLETED, "PRUNED": TrialState.STOPPED, "FAIL": TrialState.FAILED}


class FrozenTrial(Protocol):
    """What is asked of a trial of `optuna.Study.trials`."""

    number: int
    params: dict[str, Any]
    intermediate_values: dict[int, float]
    state: Any
    datetime_complete: Any
    duration: Any

    @property
    def values(self) -> Sequence[float] | None:
        """Of the objectives, where it is complete."""


def of_study(study: Any, brief: Brief) -> tuple[Experience, list[str]]:
    """Return an Optuna study as experience, and what could not be taken over.

    Args:
        study: An `optuna.Study` of one objective; each of its steps counts as one of the Model Card's.
        brief: The cards, and the metric that the study optimised.

    Raises:
        JobError: It optimised several objectives or in another direction, or none of its trials can be used.
    """
    directions = [direction.name for direction in study.directions]
    wanted = "MAXIMIZE" if brief.objective.mode == "max" else "MINIMIZE"
    if directions != [wanted]:
        rule = f"must be a study of one objective, `{brief.objective.metric}`, direction {wanted}"
        raise _refused(rule, ", ".join(directions), "name the metric that the study optimised with --metric")
    frozen: list[FrozenTrial] = [t for t in study.trials if t.state.name in _STATES]
    taken, left = zip(*(_known(t.params, brief) for t in frozen), strict=True) if frozen else ((), ())
    trials = [_of_frozen(t, config, brief) for t, config in zip(frozen, taken, strict=True)]
    ended = max((t.datetime_complete.timestamp() for t in frozen if t.datetime_complete), default=0.0)
    return _experience(str(study.study_name), trials, brief, ended), _said(left)


def of_experiment(folder: str | Path, brief: Brief) -> tuple[Experience, list[str]]:
    """Return a Ray Tune experiment as experience, and what could not be taken over.

    Args:
        folder: Of the experiment; its trials' folders hold `params.json` and `result.json`.
        brief: The cards, and the metric that was reported.

    Raises:
        JobError: None of its trials can be used.
    """
    trials, left, ended = list[TrialRecord](), list[list[str]](), 0.0
    for path in sorted(Path(folder).expanduser().glob(f"*/{PARAMETERS}")):
        results = path.with_name(RESULTS)
        if results.is_file():
            config, unknown = _known(_flat(_json(path.read_text(encoding="utf-8"))), brief)
            trials.append(_of_folder(path.parent, len(trials), config, results, brief))
            left.append(unknown)
            ended = max(ended, results.stat().st_mtime)
    return _experience(Path(folder).expanduser().absolute().name, trials, brief, ended), _said(left)


def _of_frozen(frozen: FrozenTrial, config: Config, brief: Brief) -> TrialRecord:
    metric, took = brief.objective.metric, frozen.duration.total_seconds() if frozen.duration else 0.0
    # Optuna's steps usually count from 0, ours from 1.
    shift = 1 if 0 in frozen.intermediate_values else 0
    curve = {step + shift: value for step, value in sorted(frozen.intermediate_values.items()) if step >= 0}
    if frozen.values and not curve:
        curve = {brief.max_steps: frozen.values[0]}
    last = max(curve, default=1)
    seen = tuple(Observation(step, {metric: float(v)}, took * step / last) for step, v in curve.items())
    return _trial(frozen.number, config, seen, _STATES[frozen.state.name], "an earlier Optuna study")


def _of_folder(folder: Path, number: int, config: Config, results: Path, brief: Brief) -> TrialRecord:
    seen: dict[int, Observation] = {}
    for line in results.read_text(encoding="utf-8").splitlines():
        result = _json(line)
        metrics = {n: float(v) for n, v in result.items() if _is_number(v) and not _RAYS.match(n)}
        step = result.get("step", result.get("training_iteration"))
        if isinstance(step, int) and step >= 1 and brief.objective.metric in metrics:
            seen[step] = Observation(step, metrics, float(result.get("time_total_s") or 0.0))
    course = tuple(seen[step] for step in sorted(seen))
    reached = bool(course) and course[-1].step >= brief.max_steps
    failed = (folder / ERROR).is_file()
    state = TrialState.FAILED if failed else TrialState.COMPLETED if reached else TrialState.STOPPED
    return _trial(number, config, course, state, "an earlier Ray Tune experiment")


def _trial(number: int, config: Config, seen: tuple[Observation, ...], state: TrialState, origin: str) -> TrialRecord:
    proposal = Proposal(f"adopted-{number}", config, f"of {origin}", "adopted")
    failure = "error" if state is TrialState.FAILED else None
    return TrialRecord(f"t{number}", proposal, seen, state, failure)


def _experience(name: str, trials: Sequence[TrialRecord], brief: Brief, ended: float) -> Experience:
    if not any(trial.value(brief.objective) is not None for trial in trials):
        rule = f"must hold a trial that reported `{brief.objective.metric}`"
        raise _refused(rule, f"{len(trials)} trials without", "name the metric with --metric")
    title = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:60].lstrip("._-") or "adopted"
    told = [[dict(t.config), [[o.step, str(o.metrics)] for o in t.observations]] for t in trials]
    mark = hashlib.blake2b(json.dumps([title, told], sort_keys=True).encode(), digest_size=6).hexdigest()
    return Experience(f"{title}-{mark}", name, round(ended, 3), "adopted", 0, brief, tuple(trials))


def _known(values: Mapping[str, Any], brief: Brief) -> tuple[Config, list[str]]:
    """Return a configuration of the Model Card's names, and the names that it does not have or would not take."""
    searched = brief.space.searched
    fits = {n: v for n, v in values.items() if n in searched and not searched[n].fault(v)}
    config, _ = brief.space.clip({**brief.space.default, **fits})
    return config, [name for name in values if name not in fits]


def _said(left: Sequence[list[str]]) -> list[str]:
    count: dict[str, int] = {}
    for name in (name for names in left for name in names):
        count[name] = count.get(name, 0) + 1
    return [f"`{name}` of {n} trials: the Model Card does not have it, or not that value" for name, n in count.items()]


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{path}{name}/") if isinstance(value, Mapping) else {f"{path}{name}": value}
    return found


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:  # a killed driver leaves half a line
        return {}
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isinf(value)


def _refused(rule: str, got: str, remedy: str) -> JobError:
    return JobError("experience adopt", [Problem("SOURCE", rule, got, remedy)])
