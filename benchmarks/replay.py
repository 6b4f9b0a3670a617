"""What a simulated run is bounded by, what its changes cost, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.stand_in import SimTrial


@dataclass(frozen=True)
class Costs:
    """Virtual seconds that a worker is held without training: to start, to pause, to resume a trial."""

    start_s: float = 0.0
    pause_s: float = 0.0
    resume_s: float = 0.0


@dataclass(frozen=True)
class Limits:
    """When a run ends: whichever comes first. Epochs are steps over all trials."""

    epochs: float = float("inf")
    seconds: float = float("inf")
    trials: float = float("inf")


FREE = Costs()
UNLIMITED = Limits()


@dataclass(frozen=True)
class Evaluation:
    """One report: virtual time, trial number, step, true objective value, the problem's curve, the value as shown."""

    seconds: float
    trial: int
    step: int
    value: float
    curve: int
    shown: float


@dataclass(frozen=True)
class Replay:
    """What happened in a simulated run.

    Attributes:
        evaluations: In order of virtual time.
        decisions: (trial number, step, decision); COMPLETE and ERROR are the trial's own, START and
            RESUME the worker's.
        trials: All of them, in order of suggestion.
        seconds: Virtual time at the end.
        ended: Why: `epochs`, `seconds`, `finished` (nothing left) or `stalled` (trials left, none chosen).
    """

    evaluations: list[Evaluation]
    decisions: list[tuple[int, int, str]]
    trials: list[SimTrial]
    seconds: float
    ended: str
