"""What several runs may ask of one account: who may ask now, who waits, and what has been spent.

    quota = Quota()
    quota.join("run-1", Terms(requests_per_minute=60))
    quota.ask("run-1", "call-1", prompt=900)           # Answer(): ask now, then settle
    quota.settle("run-1", "call-1", tokens=1200, spent=(1200, 0.01))

Pure bookkeeping: knows no server, no prompt, no key and no Ray. A permit is a lease: one that is not settled ends by
itself, so a run that was killed holds nothing for long. What a run has spent is stated by the run, as a sum that only
grows, so it may be told again to a `Quota` that has forgotten. Not thread-safe.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, final

WINDOW_S = 60.0
ACTIVE_S = 600.0
"""A run that has not asked for so long no longer counts: neither do its limits."""
PATIENCE_S = 15.0
"""Who waits and does not ask again for so long is taken for dead."""
LONGEST_S, POLL_S = 5.0, 0.25
"""Longest and shortest wait before one asks again."""

Spent = tuple[int, float]
"""Tokens and US dollars."""


@dataclass(frozen=True)
class Terms:
    """Limits as one run states them; None is no limit. `lease_s`: the longest that one of its requests can take."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    tokens: int | None = None
    money: float | None = None
    lease_s: float = 120.0

    def strictest(self, others: Iterable[Terms]) -> Terms:
        """Return the strictest limit of each kind, of these and of `others`; the longest lease."""
        all_of = [self, *others]

        def least(kind: str) -> Any:
            return min((v for terms in all_of if (v := getattr(terms, kind)) is not None), default=None)

        kinds = {f.name: least(f.name) for f in fields(self)}
        return Terms(**{**kinds, "lease_s": max(terms.lease_s for terms in all_of)})

    def shared_by(self, runs: int) -> Terms:
        """Return one run's part of the rates, at least 1 of each; budgets are not parted."""

        def part(limit: int | None) -> int | None:
            return None if limit is None else max(1, limit // max(1, runs))

        rates = part(self.requests_per_minute), part(self.tokens_per_minute), part(self.concurrent)
        return Terms(*rates, self.tokens, self.money, self.lease_s)


@dataclass(frozen=True)
class Answer:
    """Whether a call may be made: now where both are empty; after `wait_s`, asking again; or never: `refused`."""

    wait_s: float = 0.0
    refused: str = ""

    @property
    def granted(self) -> bool:
        """Whether the call may be made now."""
        return not self.wait_s and not self.refused


@dataclass
class _Granted:
    run: str
    at: float
    tokens: int


@dataclass(frozen=True)
class _Waiting:
    run: str
    since: float
    seen: float
    tokens: int


@final
class Quota:
    """Grants permits to the runs that have joined.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._terms: dict[str, Terms] = {}
        self._seen: dict[str, float] = {}
        self._granted: deque[_Granted] = deque()
        self._leases: dict[str, tuple[_Granted, float]] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._reply = 0.0
        self.spent: dict[str, Spent] = {}

    def knows(self, run: str) -> bool:
        """Return whether `run` has joined."""
        return run in self._terms

    @property
    def runs(self) -> int:
        """How many runs have asked of late."""
        return len(self._active())

    @property
    def terms(self) -> Terms:
        """The limits that hold now."""
        return Terms(lease_s=0.0).strictest(self._terms[run] for run in self._active())

    @property
    def used(self) -> tuple[int, int]:
        """Requests and tokens of the last minute."""
        self._forget(self._clock())
        return len(self._granted), sum(granted.tokens for granted in self._granted)

    def join(
        self,
        run: str,
        terms: Terms,
        recent: Iterable[tuple[float, int]] = (),
        spent: Mapping[str, Spent] | None = None,
        others: tuple[int, int, float] = (0, 0, 0.0),
    ) -> None:
        """Let a run ask; once more changes its terms.

        Args:
            run: Any name that no other run has.
            terms: Its limits.
            recent: Seconds ago and tokens of each request that it made in the last minute, granted elsewhere.
            spent: Run to what it has spent, as far as this one knows.
            others: Requests and tokens of other runs in the minute before this one last heard of them, and how many
                seconds ago that was. The first run that joins speaks for those that are yet to come.
        """
        now = self._clock()
        requests, tokens, age = others if not self._terms else (0, 0, 0.0)
        self._granted.extend(_Granted("", now - age, tokens // requests) for _ in range(requests))
        self._terms[run], self._seen[run] = terms, now
        mine = sorted((now - age, tokens) for age, tokens in recent)
        self._granted = deque(sorted([*self._granted, *(_Granted(run, *one) for one in mine)], key=lambda g: g.at))
        for name, told in (spent or {}).items():
            self._note(name, told)

    def ask(self, run: str, call: str, prompt: int, reply: int | None = None) -> Answer:
        """Ask for a permit; one that is granted must be settled.

        Args:
            run: That has joined.
            call: Names the request; the same one while it waits.
            prompt: Tokens of the prompt.
            reply: Tokens that the reply may have; None expects the mean of those before.
        """
        now = self._clock()
        self._seen[run] = now
        self._forget(now)
        terms = self.terms
        if why := self._spent_all(terms, prompt):
            self._waiting.pop(call, None)
            return Answer(refused=why)
        tokens = prompt + (round(self._reply) if reply is None else reply)
        since = self._waiting[call].since if call in self._waiting else now
        self._waiting[call] = _Waiting(run, since, now, tokens)
        wait_s = self._wait_s(call, terms, now)
        if wait_s:
            return Answer(min(LONGEST_S, max(POLL_S, wait_s)))
        del self._waiting[call]
        granted = _Granted(run, now, tokens)
        self._granted.append(granted)
        self._leases[call] = granted, now + self._terms[run].lease_s
        return Answer()

    def settle(self, run: str, call: str, tokens: int | None, spent: Spent, reply: int | None = None) -> None:
        """End a call: give its place back, and put what it used in place of what it was taken for.

        Args:
            run: Whose it is.
            call: As in `ask`; one that is not known any more is no error.
            tokens: That it used; None where it failed.
            spent: By the run so far, this call included.
            reply: Tokens of its reply.
        """
        self._note(run, spent)
        lease = self._leases.pop(call, None)
        if tokens is None:
            return
        if reply is not None:
            self._reply = float(reply) if not self._reply else 0.8 * self._reply + 0.2 * reply
        if lease is not None:
            lease[0].tokens = tokens

    def _note(self, run: str, told: Spent) -> None:
        tokens, money = self.spent.get(run, (0, 0.0))
        self.spent[run] = max(tokens, int(told[0])), max(money, float(told[1]))

    def _active(self) -> list[str]:
        now = self._clock()
        return [run for run, seen in self._seen.items() if now - seen < ACTIVE_S]

    def _forget(self, now: float) -> None:
        while self._granted and self._granted[0].at <= now - WINDOW_S:
            self._granted.popleft()
        self._leases = {call: lease for call, lease in self._leases.items() if lease[1] > now}
        self._waiting = {call: one for call, one in self._waiting.items() if now - one.seen < PATIENCE_S}
        for run in [run for run, seen in self._seen.items() if now - seen >= ACTIVE_S]:
            del self._seen[run], self._terms[run]

    def _spent_all(self, terms: Terms, prompt: int) -> str:
        tokens = sum(one[0] for one in self.spent.values())
        promised = sum(lease[0].tokens for lease in self._leases.values())
        money = sum(one[1] for one in self.spent.values())
        if terms.tokens is not None and tokens + promised + prompt > terms.tokens:
            return (
                f"all runs together have used {tokens} of {terms.tokens} tokens, and the next prompt has about {prompt}"
            )
        if terms.money is not None and money >= terms.money:
            return f"all runs together have used {money:.4g} of {terms.money:.4g} US dollars"
        return ""

    def _wait_s(self, call: str, terms: Terms, now: float) -> float:
        """Return how long `call` waits before it asks again; 0 where it may be made now."""
        mine, before = self._waiting[call], self._before(call)
        full = terms.concurrent is not None and len(self._leases) + len(before) >= terms.concurrent
        ages = [now - granted.at for granted in self._granted]
        requests = _until_room([1] * len(ages), ages, len(before) + 1, terms.requests_per_minute)
        # One that is larger than the limit goes alone: it would wait for ever.
        most = terms.tokens_per_minute
        wanted = sum(one.tokens if most is None else min(one.tokens, most) for one in (*before, mine))
        tokens = _until_room([granted.tokens for granted in self._granted], ages, wanted, most)
        return max(POLL_S if full else 0.0, requests, tokens)

    def _before(self, call: str) -> list[_Waiting]:
        """Return who goes first: the run that was granted least of late, then who has waited longest."""
        had = Counter(granted.run for granted in self._granted)

        def rank(item: tuple[str, _Waiting]) -> tuple[int, float, str]:
            return had[item[1].run], item[1].since, item[0]

        mine = rank((call, self._waiting[call]))
        return [one for name, one in self._waiting.items() if rank((name, one)) < mine]


def _until_room(sizes: list[int], ages: list[float], wanted: int, most: int | None) -> float:
    """Return the seconds until those of `sizes`, oldest first, that are in the window leave room for `wanted`."""
    if most is None:
        return 0.0
    used = sum(sizes)
    if used + wanted <= most:
        return 0.0
    for size, age in zip(sizes, ages, strict=True):
        used -= size
        if used + wanted <= most:
            return WINDOW_S - age
    return POLL_S  # it is others' turn first
