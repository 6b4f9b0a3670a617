"""Runs on one cluster keep to the limits of one account together: their permits come from one named Ray actor.

    limiter = SharedLimiter("api.openai.com/gpt-5", Terms(requests_per_minute=60))

The actor is detached: it outlives the run that started it and keeps what was spent. It holds counts, and neither
prompts nor keys. Each run remembers what it was granted in the last minute and what it knows to be spent, and tells
that to an actor that does not know it: one that died is started anew and learns again. While there is none, a run keeps
to its own part of the limits, and says so once.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import astuple
from typing import Any, final

from automl_gpt_ray.errors import first_line
from automl_gpt_ray.llm.limited import Alone
from automl_gpt_ray.llm.quota import WINDOW_S, Answer, Quota, Spent, Terms

_LOG = logging.getLogger(__name__)
NAMESPACE = "automl_gpt_ray"
START_S, ANSWER_S = 60.0, 10.0
"""Longest wait for an actor that starts, and for one that is there."""
AWAY_S = 30.0
"""After a failure, so long the actor is not asked again."""
STRANGER = "stranger"


def actor_name(account: str) -> str:
    """Return the name of the actor for the limits of `account`, in `NAMESPACE`."""
    return f"limits of {account}"


@final
class SharedLimiter:
    """A `Limiter` that all runs with limits of one name share; usable from several threads, none of them Ray's own.

    Before Ray is connected, and where it is not used, its limits are those of this run alone.

    Args:
        account: Name of the limits.
        terms: Of this run.
        warn: Told once that the run keeps to limits of its own for a while.
        clock: Monotonic seconds.
        away_s: After a failure, so long the actor is not asked again.
    """

    def __init__(
        self,
        account: str,
        terms: Terms,
        warn: Callable[[str], object] = _LOG.warning,
        *,
        clock: Callable[[], float] = time.monotonic,
        away_s: float = AWAY_S,
    ) -> None:
        self._account, self._terms, self._warn = account, terms, warn
        self._clock, self._away_s = clock, away_s
        self._run = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._actor: Any = None
        self._recent: deque[tuple[float, int]] = deque()
        self._known: dict[str, Spent] = {}
        self._runs, self._others = 1, (0, 0, 0.0)
        self._own: Alone | None = None
        self._own_calls = set[str]()
        self._away_until = 0.0
        self._warned = False

    def __reduce__(self) -> Any:
        # Ray pickles a searcher with its Tuner; a copy is a run of its own.
        return SharedLimiter, (self._account, self._terms)

    def ask(self, call: str, prompt: int, reply: int | None = None) -> Answer:
        """Return whether `call` may be made; see `Limiter.ask`."""
        with self._lock:
            self._trim()
            answer = self._shared_ask(call, prompt, reply) or self._own_ask(call, prompt, reply)
            if answer.granted:
                self._recent.append((self._clock(), prompt + (reply or 0)))
            return answer

    def settle(self, call: str, tokens: int | None, spent: Spent, reply: int | None = None) -> None:
        """End a call; see `Limiter.settle`."""
        with self._lock:
            self._known[self._run] = spent
            own = self._own if call in self._own_calls else None
            self._own_calls.discard(call)
            if own is not None:
                own.settle(call, tokens, spent, reply)
            else:
                self._call("settle", call, tokens, spent, reply)

    def _shared_ask(self, call: str, prompt: int, reply: int | None) -> Answer | None:
        found = self._call("ask", call, prompt, reply)
        if found == STRANGER:
            others = *self._others[:2], self._clock() - self._others[2]
            self._call("join", astuple(self._terms), self._ages(), dict(self._known), others)
            found = self._call("ask", call, prompt, reply)
        if found is None or found == STRANGER:
            return None
        wait_s, refused, self._runs, known, (requests, tokens) = found
        answer = Answer(wait_s, refused)
        own = len(self._recent) + answer.granted, sum(used for _, used in self._recent)
        self._others = max(0, requests - own[0]), max(0, tokens - own[1]), self._clock()
        self._known.update(known)
        self._own = None
        return answer

    def _own_ask(self, call: str, prompt: int, reply: int | None) -> Answer:
        if self._own is None:
            self._own = Alone(self._terms.shared_by(self._runs), self._clock, self._ages(), self._known)
        answer = self._own.ask(call, prompt, reply)
        if answer.granted:
            self._own_calls.add(call)
        return answer

    def _ages(self) -> list[tuple[float, int]]:
        """Return seconds ago and tokens of each request of the last minute, as `Quota.join` takes them."""
        now = self._clock()
        return [(now - at, tokens) for at, tokens in self._recent]

    def _trim(self) -> None:
        while self._recent and self._clock() - self._recent[0][0] >= WINDOW_S:
            self._recent.popleft()

    def _call(self, method: str, *arguments: Any) -> Any:
        """Return what the actor answers, or None where there is none now."""
        import ray

        if not ray.is_initialized() or self._clock() < self._away_until:
            return None
        try:
            return self._tried(method, *arguments)
        except Exception:  # noqa: BLE001 - whatever Ray's trouble is, no call to the model may fail for it
            self._actor = None
        try:  # it died, and is started anew
            return self._tried(method, *arguments)
        except Exception as error:  # noqa: BLE001
            self._lost(error)
            return None

    def _tried(self, method: str, *arguments: Any) -> Any:
        import ray

        seconds = ANSWER_S
        if self._actor is None:
            self._actor, seconds = _actor(self._account), START_S
        return ray.get(getattr(self._actor, method).remote(self._run, *arguments), timeout=seconds)

    def _lost(self, error: Exception) -> None:
        self._actor, self._away_until = None, self._clock() + self._away_s
        if not self._warned:
            self._warned = True
            part = f"1/{self._runs} of the limits" if self._runs > 1 else "its limits"
            why = first_line(error)[:200]
            self._warn(
                f"the actor that shares the limits of `{self._account}` cannot be reached ({why}): "
                f"this run keeps to {part} by itself until it can"
            )


def _actor(account: str) -> Any:
    """Return the actor of these limits, started where there is none."""
    import ray

    from automl_gpt_ray.ray_tune.placement import on_head

    options = {"name": actor_name(account), "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
    return ray.remote(_Host).options(**options, **on_head(), max_restarts=0).remote()


class _Host:
    """What runs in the actor. Plain values go in and out: another run may be of another version of this package."""

    def __init__(self) -> None:
        self._quota = Quota()

    def join(
        self,
        run: str,
        terms: tuple[Any, ...],
        recent: list[tuple[float, int]],
        spent: dict[str, Spent],
        others: tuple[int, int, float],
    ) -> None:
        self._quota.join(run, Terms(*terms), recent, spent, others)

    def ask(self, run: str, call: str, prompt: int, reply: int | None) -> Any:
        if not self._quota.knows(run):
            return STRANGER
        answer = self._quota.ask(run, call, prompt, reply)
        return answer.wait_s, answer.refused, self._quota.runs, dict(self._quota.spent), self._quota.used

    def settle(self, run: str, call: str, tokens: int | None, spent: Spent, reply: int | None) -> None:
        self._quota.settle(run, call, tokens, spent, reply)
