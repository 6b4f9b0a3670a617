"""What of a run is virtual in a simulation of its driver: the clock, the language model, the threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import psutil

from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import ResultReported, TrialEnded, TrialStarted
from automl_gpt_ray.records import Completion, History, JsonSchema, Observation, Prompt, Proposal, TrialState, Usage
from benchmarks.stand_in import TERMINATED, SimTrial
from benchmarks.tuning_answer import TuningAnswer

STEP_S = 60.0
SOURCES = ("classical", "language")


@final
class Virtual:
    """A clock that a simulation moves; `time` for the modules that read it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self.now


@final
class Talker:
    """A language model that answers at once; how long it takes is the simulation's to say."""

    def __init__(self) -> None:
        self._answer, self.calls, self.tokens = TuningAnswer(), 0, 0

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return proposals as a sensible tuner makes them."""
        self.calls += 1
        said = [{"role": m.role, "content": m.content} for m in prompt.messages]
        text = self._answer({"messages": said, "response_format": {"json_schema": {"schema": schema}}})
        usage = Usage(sum(len(m.content) for m in prompt.messages) // 4, len(text) // 4)
        self.tokens += usage.total
        return Completion(text, "stand-in", usage)


@final
class Prepared:
    """An advisor whose answer was made before, and comes out now."""

    def __init__(self) -> None:
        self.answer: list[Proposal] | Exception = []

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return the answer or raise it."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def children_s() -> float:
    """Return the processor seconds of the processes that this one has started."""
    times = [child.cpu_times() for child in psutil.Process().children()]
    return float(sum(t.user + t.system for t in times))


class Idle:
    """A thread that does nothing: the simulation does its work."""

    def __init__(self, **_: Any) -> None: ...

    def start(self) -> None:
        """Do nothing."""


def percentiles(seconds: Sequence[float]) -> list[float]:
    """Return median and 99th percentile, in milliseconds."""
    found = np.percentile(np.array(seconds) * 1000, [50, 99])
    return [round(float(v), 3) for v in found]


def remembered(book: Book, asha: Any, brief: Brief, count: int, rng: np.random.Generator) -> list[SimTrial]:
    """Let a run have had so many trials before, and return them: all reported once, every third three times."""
    rungs, before = dict(asha._brackets[0]._rungs), []  # noqa: SLF001 - Ray has no other way
    for number in range(count):
        name, config = f"k{number:06d}", brief.space.sample(rng)
        before.append(trial := SimTrial(name, number, config))
        trial.status = TERMINATED
        book.record(TrialStarted(name, Proposal(f"known-{number}", config, "before", SOURCES[number % 2])))
        for step in range(1, 4 if number % 3 == 0 else 2):
            loss = 0.4 + 0.3 * 0.5**step + 0.1 * float(rng.random())
            book.record(ResultReported(name, Observation(step, {brief.objective.metric: loss}, STEP_S * step)))
            if step in rungs:
                rungs[step][name] = -loss
        book.record(TrialEnded(name, TrialState.STOPPED))
    return before
