"""What a run writes down, one frozen type an event; the vocabulary of the journal.

Everything else about a run can be rebuilt from these, in order. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from automl_gpt_ray.job_events import FeedbackGiven, ModelAssigned, Refitted
from automl_gpt_ray.lineage import Origin, RevisionApplied, RevisionAsked, RevisionJudged, RevisionRolledBack
from automl_gpt_ray.records import Config, Message, Mode, Observation, PredictedLog, Proposal, TrialState, Usage
from automl_gpt_ray.review import ReviewsRead, Subject

REPAIR = "-repair"
"""Ends the call id of the second attempt at a reply."""


@dataclass(frozen=True)
class RunStarted:
    """The first event: what the run is.

    `brief` is `Brief.to_dict()`: with it a run can be replayed offline. `about` is for readers.
    """

    metric: str
    mode: Mode
    max_step: int
    seed: int
    default: Config
    brief: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["run_started"] = "run_started"


@dataclass(frozen=True)
class RunResumed:
    """The driver came back after it had ended or died."""

    reason: str = ""
    kind: Literal["run_resumed"] = "run_resumed"


@dataclass(frozen=True)
class TeamFormed:
    """Who advises from here on, exactly enough to be put together again.

    `recipe` is that of `advisors.recipe`; `loop` is who hands the proposals out; `seed` is that of the
    random draws of the loop; `versions` are those of the libraries that decide.
    """

    recipe: Mapping[str, Any]
    loop: Literal["prefetch", "ask_tell"]
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["team"] = "team"


@dataclass(frozen=True)
class PromptSent:
    """A language model is about to be asked.

    `tokens` is the estimate of `prompts.tokens`, `max_tokens` the limit on it; `informed` tells whether
    the advisor looks at the optimiser's insight, `subjects` which trials a review is asked of. With the brief,
    the seed and the history of that version they give the prompt again.
    """

    call: str
    purpose: str
    history_version: int
    messages: tuple[Message, ...]
    wanted: int = 0
    tokens: int = 0
    max_tokens: int | None = None
    informed: bool = False
    subjects: tuple[Subject, ...] = ()
    kind: Literal["prompt"] = "prompt"


@dataclass(frozen=True)
class ReplyReceived:
    """What the language model answered, as it stood."""

    call: str
    text: str
    model: str
    usage: Usage
    seconds: float
    finish: str
    kind: Literal["reply"] = "reply"


@dataclass(frozen=True)
class ReplyRead:
    """Some of a reply can be used: `usable` proposals; `problems` are what was wrong with the others."""

    call: str
    usable: int
    problems: tuple[str, ...]
    kind: Literal["reply_read"] = "reply_read"


@dataclass(frozen=True)
class CallFailed:
    """A call that brought no reply, or a reply that stayed unusable after its repair."""

    call: str
    error: str
    message: str
    seconds: float = 0.0
    kind: Literal["call_failed"] = "call_failed"


@dataclass(frozen=True)
class AdviceGiven:
    """Proposals enter the queue. `problems` are what was wrong with those that did not.

    `wanted` is how many were asked for, `stock` how many were to be ready, stale ones included.
    """

    source: str
    history_version: int
    proposals: tuple[Proposal, ...]
    problems: tuple[str, ...] = ()
    wanted: int = 0
    stock: int = 0
    kind: Literal["advice"] = "advice"


@dataclass(frozen=True)
class ProposalDropped:
    """A queued proposal leaves the queue without a trial.

    `recent` counts the new bests and failure classes that were too recent for it to know.
    """

    proposal: str
    reason: str
    recent: int = 0
    kind: Literal["dropped"] = "dropped"


@dataclass(frozen=True)
class TrialStarted:
    """A proposal becomes a trial.

    The other fields are what else the choice depended on at that moment: what each source was trusted
    with, why sources could not be asked, whether those are waited for, who goes before all others, and
    how many new bests and failure classes were too recent for a source to know. `parent` is the checkpoint
    that a clone begins with.
    """

    trial: str
    proposal: Proposal
    shares: Mapping[str, float] = field(default_factory=dict)
    outages: Mapping[str, str] = field(default_factory=dict)
    waits: bool = False
    urgent: tuple[str, ...] = ()
    recent: Mapping[str, int] = field(default_factory=dict)
    parent: Origin | None = None
    kind: Literal["trial_started"] = "trial_started"


@dataclass(frozen=True)
class TrialRequeued:
    """A trial that Ray lost with its driver is none; its proposal waits again."""

    trial: str
    reason: str
    kind: Literal["requeued"] = "requeued"


@dataclass(frozen=True)
class TrialResumed:
    """A paused trial is due a worker again."""

    trial: str
    reason: str
    kind: Literal["trial_resumed"] = "trial_resumed"


@dataclass(frozen=True)
class CheckpointSaved:
    """A trial's checkpoint of `step` lies at `path`, in Ray's storage."""

    trial: str
    step: int
    path: str
    kind: Literal["checkpoint"] = "checkpoint"


@dataclass(frozen=True)
class ResultReported:
    """A trial reported one step."""

    trial: str
    observation: Observation
    kind: Literal["result"] = "result"


@dataclass(frozen=True)
class TrialEnded:
    """A trial reports nothing more; `failure` is its class, `message` says what happened."""

    trial: str
    state: TrialState
    failure: str | None = None
    message: str = ""
    kind: Literal["trial_ended"] = "trial_ended"


@dataclass(frozen=True)
class Decision:
    """Somebody decided something about the run or a trial, and why.

    `step` is that of the trial decided about, and `predicted` the final value it was believed to reach.
    """

    subject: str
    action: str
    reason: str
    by: str
    step: int | None = None
    predicted: float | None = None
    kind: Literal["decision"] = "decision"


@dataclass(frozen=True)
class ForecastMade:
    """A trial's further course was forecast after it had reported `step`, to be scored by what happens."""

    trial: str
    step: int
    log: PredictedLog
    kind: Literal["forecast"] = "forecast"


@dataclass(frozen=True)
class Tested:
    """The chosen trial was scored on held-out test data."""

    trial: str
    metrics: Mapping[str, float]
    kind: Literal["tested"] = "tested"


@dataclass(frozen=True)
class RunEnded:
    """The last event of a run that ended on its own, with what ended it."""

    reason: str
    kind: Literal["run_ended"] = "run_ended"


Event = (
    RunStarted
    | RunResumed
    | TeamFormed
    | PromptSent
    | ReplyReceived
    | ReplyRead
    | CallFailed
    | AdviceGiven
    | ProposalDropped
    | TrialStarted
    | TrialRequeued
    | TrialResumed
    | CheckpointSaved
    | ResultReported
    | TrialEnded
    | Decision
    | ForecastMade
    | Tested
    | RunEnded
    | ReviewsRead
    | ModelAssigned
    | FeedbackGiven
    | Refitted
    | RevisionAsked
    | RevisionApplied
    | RevisionJudged
    | RevisionRolledBack
)

# NaN and infinity are not JSON: they are written as the texts "NaN" and "Infinity".
ADAPTER: TypeAdapter[Event] = TypeAdapter(
    Annotated[Event, Field(discriminator="kind")], config=ConfigDict(ser_json_inf_nan="strings")
)
"""To and from JSON, checked."""
