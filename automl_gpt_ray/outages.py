"""Outages: which sources cannot be asked now, since when, and what the run does about it.

    outages.begin("language", "the server is down")    # said once, however often it fails again
    outages.waits                                      # the policy is `wait`: start nobody else's proposals
    outages.end("language")                            # "language can be asked again after 12 s"

Each turn is a `Decision`, so that it is in the journal, on the progress line and in the summary.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, final

from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.events import Decision

BY = "outage policy"


@dataclass(frozen=True)
class OutagePolicy:
    """What a run does while its language model cannot be asked.

    Attributes:
        on_outage: `classical` carries on with the other advisors; `wait` starts none of their proposals
            until the model answers again (running trials go on, and the default configuration may start);
            `fail` ends the run and keeps its results.
        wait_s: Longest wait for one outage, in seconds; after it the others carry on. None has no limit.

    Raises:
        JobError: `on_outage` is none of these, or `wait_s` is not positive.
    """

    on_outage: Literal["classical", "wait", "fail"] = "classical"
    wait_s: float | None = None

    def __post_init__(self) -> None:
        if self.on_outage not in ("classical", "wait", "fail"):
            problem = Problem("on_outage", "must be `classical`, `wait` or `fail`", repr(self.on_outage))
            raise JobError("OutagePolicy", [problem])
        if self.wait_s is not None and not self.wait_s > 0:
            remedy = "leave it out to wait without a limit"
            raise JobError("OutagePolicy", [Problem("wait_s", "must be greater than 0", str(self.wait_s), remedy)])


@dataclass(frozen=True)
class _Outage:
    message: str
    since: float
    given_up: bool = False


@final
class Outages:
    """The sources that cannot be asked; callers hold the book's lock.

    Args:
        policy: What is done about it.
        record: Writes a decision down.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        policy: OutagePolicy,
        record: Callable[[Decision], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy, self._record, self._clock = policy, record, clock
        self._now: dict[str, _Outage] = {}
        self.spent: dict[str, str] = {}
        self.failure = ""

    def __contains__(self, source: str) -> bool:
        return source in self._now or source in self.spent

    @property
    def messages(self) -> dict[str, str]:
        """Source to what is wrong with it now."""
        return {source: outage.message for source, outage in self._now.items()} | self.spent

    @property
    def waits(self) -> bool:
        """Whether nobody else's proposals may start now; says so when the longest wait is over."""
        if self._policy.on_outage != "wait":
            return False
        longest, now = self._policy.wait_s, self._clock()
        for source, outage in self._now.items():
            if longest is not None and not outage.given_up and now - outage.since >= longest:
                self._now[source] = replace(outage, given_up=True)
                self._say("outage", f"waited {longest:g} s for {source}, which cannot be asked still. {CARRY_ON}")
        return any(not outage.given_up for outage in self._now.values())

    def begin(self, source: str, message: str) -> None:
        """Note that `source` cannot be asked; told when it begins."""
        known = self._now.get(source)
        self._now[source] = replace(known, message=message) if known else _Outage(message, self._clock())
        if known is None:
            self._say("outage", f"{source} cannot be asked: {message.rstrip('.')}. {self._follows}")
        if self._policy.on_outage == "fail" and not self.failure:
            self.failure = f"{source} could not be asked and `llm.on_outage` is `fail`: {message}"

    def end(self, source: str) -> None:
        """Note that `source` answered; told when it could not be asked before."""
        outage = self._now.pop(source, None)
        if outage:
            self._say("recovered", f"{source} can be asked again, after {self._clock() - outage.since:.0f} s")

    def spend(self, source: str, message: str) -> None:
        """Note that `source` may not be asked again in this run, its budget being spent."""
        self._now.pop(source, None)
        if source not in self.spent:
            self._say("budget", f"{source} is asked no more: {message}")
        self.spent[source] = message

    @property
    def _follows(self) -> str:
        if self._policy.on_outage == "classical":
            return CARRY_ON
        if self._policy.on_outage == "fail":
            return "Ending the run"
        longest = self._policy.wait_s
        return f"Waiting for it, {f'at most {longest:g} s' if longest else 'for as long as it takes'}"

    def _say(self, action: str, reason: str) -> None:
        self._record(Decision("run", action, reason, by=BY))


CARRY_ON = "Carrying on with the classical advisor"
