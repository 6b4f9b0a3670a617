"""The lineage of a trial: what was changed about it as it trained, and what it grew out of.

Frozen values and functions of them; who may change what is `revision`'s to say, and how a change reaches a
trial that runs is `ray_tune.revising`'s.

    schedule: ((4, {"learning_rate": 0.01}),)      # from step 4 on trained with this value
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Values = Mapping[str, str | int | float | bool | None]
Schedule = tuple[tuple[int, Values], ...]
"""(first step trained with it, the values that changed there), steps strictly increasing."""


@dataclass(frozen=True)
class Revision:
    """A change of a trial that somebody asked for.

    Attributes:
        trial: Which.
        step: The last step it had reported when that was asked.
        changes: Hyperparameter to its new value; never empty.
        reason: Why, in a sentence; never empty.
        by: Who asked.
        predicted: The final value the trial is believed to reach with it.
        structural: Whether it needs a child trial: the running one cannot change so.
        back_to: Checkpoint to go on from, by its step; 0 begins anew, None goes on where the trial stands.
    """

    trial: str
    step: int
    changes: Values
    reason: str
    by: str
    predicted: float | None = None
    structural: bool = False
    back_to: int | None = None


@dataclass(frozen=True)
class Origin:
    """Where a training goes on from: a trial's checkpoint of `step`; at 0, or without `checkpoint`, from nothing."""

    trial: str
    step: int
    checkpoint: str = ""


@dataclass(frozen=True)
class Applied:
    """A revision that took force.

    Attributes:
        revision: What was asked.
        step: The first step trained with it.
        before: The changed names' values until then.
        value: The objective when it was applied; None where it was not finite.
        floor: What the objective was expected to be at worst, without it, by the time it is judged.
        outcome: Whether it was judged, and how.
    """

    revision: Revision
    step: int
    before: Values
    value: float | None = None
    floor: float | None = None
    outcome: Literal["open", "kept", "rolled_back"] = "open"


@dataclass(frozen=True)
class Lineage:
    """What happened to one trial's values.

    Attributes:
        parent: The checkpoint it began with, in a trial that was cloned.
        asked: The revision that has not taken force yet.
        applied: Those that have, oldest first.
        schedule: The true course of the values.
        restart: What it goes on from at its next start, where that is not its latest checkpoint.
        redone: Steps trained and given up by going back.
    """

    parent: Origin | None = None
    asked: Revision | None = None
    applied: tuple[Applied, ...] = ()
    schedule: Schedule = ()
    restart: Origin | None = None
    redone: int = 0

    def config(self, proposed: Values, step: int | None = None) -> Values:
        """Return the values in force at `step`, by default now, of a trial that was `proposed` so."""
        if not self.schedule:
            return proposed
        changes = [values for since, values in self.schedule if step is None or since <= step]
        return {name: value for values in (proposed, *changes) for name, value in values.items()}

    def steps(self, last_step: int) -> int:
        """Return the steps that a trial at `last_step` has really trained."""
        return max(0, last_step - (self.parent.step if self.parent else 0)) + self.redone

    @property
    def leaves(self) -> bool:
        """Whether the trial makes way for a clone."""
        return self.asked is not None and self.asked.structural

    @property
    def open(self) -> Applied | None:
        """The revision in force that has not been judged."""
        return next((a for a in reversed(self.applied) if a.outcome == "open"), None)

    def after_applying(self, before: Values, event: RevisionApplied) -> Lineage:
        """Return the lineage, `before` in force until then, once what was asked took force."""
        changes = _changes(before, event.config)
        old = {name: before[name] for name in changes if name in before}
        # An open revision that the next one overtook is part of what that is compared with.
        applied = self.applied if self.asked is None else self.after_judging("kept").applied
        if self.asked is not None:
            applied += (Applied(self.asked, event.step, old, event.value, event.floor),)
        scheduled = _from(self.schedule, event.step, changes)
        return replace(self, asked=None, applied=applied, schedule=scheduled, restart=event.restart)

    def after_judging(self, outcome: Literal["kept", "rolled_back"]) -> Lineage:
        """Return the lineage once the open revision was judged."""
        judged = self.open
        return replace(self, applied=tuple(replace(a, outcome=outcome) if a is judged else a for a in self.applied))

    def after_rolling_back(self, before: Values, event: RevisionRolledBack) -> Lineage:
        """Return the lineage, `before` in force until then, once the open revision was rolled back."""
        scheduled = _from(self.schedule, event.since, _changes(before, event.config))
        return replace(self.after_judging("rolled_back"), schedule=scheduled, restart=event.restart)

    def after_cloning(self, step: int) -> Lineage:
        """Return the lineage of a parent, which ended at `step`, once its clone began."""
        applied = (Applied(self.asked, step + 1, {}, outcome="kept"),) if self.asked else ()
        return replace(self, asked=None, applied=self.applied + applied)

    def without_clone(self) -> Lineage:
        """Return the lineage of a parent whose clone was lost before it trained: it is due again."""
        lost = self.applied[-1:]
        return replace(self, asked=lost[0].revision if lost else None, applied=self.applied[:-1])

    def after_report(self, last_step: int, step: int) -> Lineage:
        """Return the lineage once `step` was reported after `last_step`.

        A step that is trained again is trained with the values of now: they are in force from there.
        """
        redone = max(0, last_step - self.restart.step) if self.restart else 0
        late = self.schedule and self.schedule[-1][0] > step
        if self.restart is None and not late:
            return self
        scheduled = _from(self.schedule, step, {}) if late else self.schedule
        return replace(self, schedule=scheduled, restart=None, redone=self.redone + redone)


UNTOUCHED = Lineage()
"""That of a trial nobody changed."""


@dataclass(frozen=True)
class RevisionAsked:
    """Somebody wants a running or paused trial changed; it was checked, and takes force at its next report."""

    trial: str
    revision: Revision
    kind: Literal["revision_asked"] = "revision_asked"


@dataclass(frozen=True)
class RevisionApplied:
    """What was asked is in force: `step` is the first one trained with it, `config` what is trained from there on.

    `restart` is the checkpoint that the trial goes back to for it; `value` is the objective as it was then,
    `floor` what it was expected to be at worst without the revision by the time that is judged.
    """

    trial: str
    step: int
    config: Values
    restart: Origin | None = None
    value: float | None = None
    floor: float | None = None
    kind: Literal["revision_applied"] = "revision_applied"


@dataclass(frozen=True)
class RevisionJudged:
    """A revision stays: the trial did not get worse for it."""

    trial: str
    step: int
    reason: str
    kind: Literal["revision_judged"] = "revision_judged"


@dataclass(frozen=True)
class RevisionRolledBack:
    """A revision is taken back at `step`: from `since` on `config` is trained again, from `restart` where that is."""

    trial: str
    step: int
    since: int
    config: Values
    reason: str
    restart: Origin | None = None
    kind: Literal["revision_rolled_back"] = "revision_rolled_back"


LineageEvent = RevisionAsked | RevisionApplied | RevisionJudged | RevisionRolledBack


def changed(lineage: Lineage, config: Values, event: LineageEvent) -> Lineage:
    """Return the lineage of a trial, `config` in force so far, after `event`."""
    match event:
        case RevisionAsked():
            return replace(lineage, asked=event.revision)
        case RevisionApplied():
            return lineage.after_applying(config, event)
        case RevisionJudged():
            return lineage.after_judging("kept")
        case RevisionRolledBack():
            return lineage.after_rolling_back(config, event)


def told(applied: Applied) -> str:
    """Return a revision in a line, for a person."""
    old, asked = applied.before, applied.revision
    changes = ", ".join(f"{n} {old[n]} -> {v}" if n in old else f"{n} {v}" for n, v in asked.changes.items())
    how = "goes on as a clone" if asked.structural else "revised"
    return f"{how} from step {applied.step} on: {changes} ({asked.by}: {asked.reason})"


def _changes(before: Values, config: Values) -> dict[str, str | int | float | bool | None]:
    return {name: value for name, value in config.items() if name not in before or before[name] != value}


def _from(schedule: Schedule, step: int, changes: Values) -> Schedule:
    """Return `schedule` with everything after `step`, and `changes`, in force from `step` on."""
    late = [values for since, values in schedule if since >= step]
    merged = {name: value for values in (*late, changes) for name, value in values.items()}
    return (*((s, v) for s, v in schedule if s < step), *([(step, merged)] if merged else []))
