"""What passes between the parts: proposals, predicted logs, observations, trials, prompts.

Plain frozen values without behaviour beyond reading themselves; nothing here does I/O or knows
Ray, Optuna or a language model. Steps count from 1 in the trainer's own unit (epochs, boosting
rounds). NaN (the trial reported NaN), missing (it did not report) and zero are three things.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.limits import NO_LIMITS, Limits, best_of
from automl_gpt_ray.lineage import UNTOUCHED, Lineage

Scalar = str | int | float | bool | None
Config = Mapping[str, Scalar]
Mode = Literal["max", "min"]


@dataclass(frozen=True)
class Objective:
    """The metric a run optimises, and in which direction."""

    metric: str
    mode: Mode

    @property
    def sign(self) -> int:
        """+1 when larger is better, -1 when smaller is."""
        return 1 if self.mode == "max" else -1

    def better(self, a: float | None, b: float | None) -> bool:
        """Return whether `a` beats `b`; anything finite beats missing or NaN."""
        if a is None or not math.isfinite(a):
            return False
        if b is None or not math.isfinite(b):
            return True
        return self.sign * (a - b) > 0

    def best(self, values: Iterable[float | None]) -> float | None:
        """Return the best finite value, or None when there is none."""
        found: float | None = None
        for value in values:
            if self.better(value, found):
                found = value
        return found


@dataclass(frozen=True)
class LogPoint:
    """One line of a predicted training log: the metric expected at `step`, with an 80 % interval."""

    step: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PredictedLog:
    """A forecast of a trial's metric, made before or while it trains (arXiv 2305.02499, sec. 3).

    Attributes:
        metric: Name of the forecast metric.
        points: At least one point, steps strictly increasing.
        source: Who forecast it (`language`, `peers`, ...).
    """

    metric: str
    points: tuple[LogPoint, ...]
    source: str

    @property
    def final(self) -> LogPoint:
        """The forecast at the last step."""
        return self.points[-1]

    def at(self, step: int) -> LogPoint:
        """Return the forecast at `step`, linear between points and constant beyond the ends."""
        earlier = [p for p in self.points if p.step <= step]
        later = [p for p in self.points if p.step >= step]
        if not earlier or not later:
            return replace((earlier or later)[-1 if earlier else 0], step=step)
        a, b = earlier[-1], later[0]
        share = 0.0 if a.step == b.step else (step - a.step) / (b.step - a.step)
        mix = (x + share * (y - x) for x, y in ((a.value, b.value), (a.low, b.low), (a.high, b.high)))
        return LogPoint(step, *mix)


@dataclass(frozen=True)
class Proposal:
    """A configuration somebody thinks worth training.

    Attributes:
        id: Unique within a run.
        config: Every active hyperparameter and data-processing choice, flat.
        reason: Why, in one sentence; never empty.
        source: Who proposed it: `default`, `language`, `classical`, `local`, `random`, `recalled`.
        predicted_log: The proposer's forecast, or None where it had nothing to forecast from.
        history_version: Version of the history it was made from.
        notes: What was changed or went wrong on the way (clipped values, an outage).
    """

    id: str
    config: Config
    reason: str
    source: str
    predicted_log: PredictedLog | None = None
    history_version: int = 0
    notes: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """`config_key` of its configuration; computed once, for a run asks it of every trial again and again."""
        return config_key(self.config)


def config_key(config: Config) -> str:
    """Return a text equal for configurations that train the same (12 significant digits)."""
    return json.dumps({name: _rounded(config[name]) for name in sorted(config)}, sort_keys=True)


def _rounded(value: Scalar) -> Scalar:
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.12g}")
    return value


@dataclass(frozen=True)
class Observation:
    """What a trial reported at one step.

    Attributes:
        step: The trainer's own step, from 1.
        metrics: Validation metrics by bare name, training ones prefixed `train_`. May hold NaN.
        seconds: Training seconds since the trial began, over all its restarts.
    """

    step: int
    metrics: Mapping[str, float]
    seconds: float


class TrialState(StrEnum):
    """Where a trial stands. STOPPED means ended before its last step by a decision."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the trial will report nothing more."""
        return self in (TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED)


@dataclass(frozen=True)
class TrialRecord:
    """A proposal in training, with everything it has reported."""

    id: str
    proposal: Proposal
    observations: tuple[Observation, ...] = ()
    state: TrialState = TrialState.RUNNING
    failure: str | None = None
    lineage: Lineage = UNTOUCHED

    @property
    def config(self) -> Config:
        """The configuration being trained: as proposed, with what was revised since."""
        return self.lineage.config(self.proposal.config)

    @property
    def last_step(self) -> int:
        """The last reported step; 0 before the first."""
        return self.observations[-1].step if self.observations else 0

    @property
    def seconds(self) -> float:
        """Training seconds so far."""
        return self.observations[-1].seconds if self.observations else 0.0

    def curve(self, metric: str) -> tuple[tuple[int, float], ...]:
        """Return (step, value) for every step that reported `metric`, NaN included."""
        return tuple((o.step, o.metrics[metric]) for o in self.observations if metric in o.metrics)

    def value(self, objective: Objective) -> float | None:
        """Return the best finite value so far (that of the checkpoint kept), or None."""
        # Asked of every trial at every decision. Records are frozen, so the answer stays.
        known: tuple[Objective, float | None] | None = self.__dict__.get("_value")
        if known is None or (known[0] is not objective and known[0] != objective):
            known = (objective, objective.best(value for _, value in self.curve(objective.metric)))
            self.__dict__["_value"] = known
        return known[1]


@dataclass(frozen=True)
class History:
    """All that is known of a run at one moment; what advisors decide from.

    Attributes:
        objective: What is optimised.
        trials: In order of their start.
        pending: Proposals handed out or queued that have no trial yet.
        version: Grows with every change.
        epoch: Grows only when older proposals should be reconsidered (a new best trial, a new failure class).
        max_step: Steps of a full training.
        limits: What the chosen trial must keep to.
        feedback: What people said, oldest first.
    """

    objective: Objective
    trials: tuple[TrialRecord, ...] = ()
    pending: tuple[Proposal, ...] = ()
    version: int = 0
    epoch: int = 0
    max_step: int = 1
    limits: Limits = NO_LIMITS
    feedback: tuple[Feedback, ...] = ()

    def in_state(self, *states: TrialState) -> list[TrialRecord]:
        """Return the trials in any of `states`."""
        return [trial for trial in self.trials if trial.state in states]

    @property
    def best(self) -> TrialRecord | None:
        """The best trial so far, finished or not: by its limits, then its value; the earliest on a tie."""
        return best_of(self.trials, self.objective, self.limits)


@dataclass(frozen=True)
class Message:
    """One turn of a conversation with a language model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Prompt:
    """What is sent to a language model. Equal prompts are equal requests (record and replay)."""

    messages: tuple[Message, ...]

    def then(self, reply: str, request: str) -> Prompt:
        """Return this conversation continued by the model's `reply` and our next `request`."""
        more = (Message("assistant", reply), Message("user", request))
        return Prompt(self.messages + more)


@dataclass(frozen=True)
class Usage:
    """Tokens of one call as the server counted them; zero, or `estimated` for a budget, where it did not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        completion = self.completion_tokens + other.completion_tokens
        return Usage(self.prompt_tokens + other.prompt_tokens, completion, self.estimated or other.estimated)


@dataclass(frozen=True)
class Completion:
    """A language model's answer.

    Attributes:
        text: What it wrote, untrusted.
        model: The model that wrote it, as the server named it.
        usage: Tokens spent.
        seconds: From request to last byte.
        finish: Why it ended: `stop`, `length` (cut off), `refusal`, or the server's own word.
    """

    text: str
    model: str
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    finish: str = "stop"


JsonSchema = Mapping[str, Any]
