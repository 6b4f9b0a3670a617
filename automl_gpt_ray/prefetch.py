"""The prefetcher: proposals prepared ahead, so that handing one out never waits for anybody.

Each source (a language model, a classical optimiser, local moves) has a lane: worker threads that keep its
queue of proposals filled. `take` pops one, or says that there is none yet; it makes no call and waits for no
call. How far a lane works ahead follows from how long its calls take and how fast its proposals are taken. A
queued proposal that was thought of before the latest results stands behind fresher ones, is replaced by them
once enough are ready, and dropped when it is too old.

    supply = Prefetcher(book, space, {"classical": ClassicalAdvisor(space)}, choose)
    supply.start()
    proposal = supply.take("trial-1")     # at once; None: ask again shortly
    supply.stop()
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import final

from automl_gpt_ray.advisors.advisor import Advisor, generator, proposal, taken, untried
from automl_gpt_ray.advisors.default_first import default_proposal
from automl_gpt_ray.book import Book
from automl_gpt_ray.demand import Demand, Shares
from automl_gpt_ray.errors import AdviceError, JournalError
from automl_gpt_ray.events import AdviceGiven, Decision, ProposalDropped, TrialStarted
from automl_gpt_ray.lanes import LOCAL_RULES, Lane, LaneRule
from automl_gpt_ray.records import History, Proposal, TrialState
from automl_gpt_ray.space import SearchSpace

Chooser = Callable[[History, Collection[str]], str | None]
FIRST = ("default", "recalled")
"""Sources that go before all others, in this order."""

EMERGENCY = "random"
PATIENCE_S = 0.3
RETRY_S = (0.2, 10.0)
SWITCH_S = 0.0005
REST = 3.0  # advisors share the processor with Ray's event loop: a quarter of the time for fresher proposals


@final
class Prefetcher:
    """Keeps proposals ready and hands them out.

    Args:
        book: Where everything is recorded; its lock is the prefetcher's.
        space: For the default configuration, and for a random one when nothing else is ready.
        advisors: Source to advisor. Each is called from its own threads.
        choose: Which of the sources that are ready serves the next trial.
        seed: Of the run.
        rules: Source to the rule of its lane; others get `LaneRule()`.
        shares: Which share of the trials each source is to serve; by default each must be able to serve all.
    """

    def __init__(
        self,
        book: Book,
        space: SearchSpace,
        advisors: Mapping[str, Advisor],
        choose: Chooser,
        seed: int = 0,
        rules: Mapping[str, LaneRule] = LOCAL_RULES,
        shares: Shares = lambda history: {},
    ) -> None:
        self._book, self._space, self._choose, self._seed = book, space, choose, seed
        self._demand = Demand(book, shares)
        self._lanes = {s: Lane(s, a, rules.get(s, LaneRule())) for s, a in advisors.items()}
        self._wake = threading.Condition(book.lock)
        self._stopped = False
        self._broken: JournalError | None = None
        self._missed_at: float | None = None
        self.exhausted = False

    def start(self, recalled: Sequence[Proposal] = ()) -> None:
        """Queue the default and `recalled` proposals and start the lanes. Once only."""
        with self._book.lock:
            history = self._book.history()
            first = default_proposal(self._space, history)
            seeds = [*([first] if first else []), *recalled]
            if seeds and not history.trials:
                self._book.record(AdviceGiven("start", history.version, tuple(seeds)))
        # The advisors' threads share the interpreter with Ray's event loop: let it in before Python's usual 5 ms.
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))
        for lane in self._lanes.values():
            for number in range(lane.rule.workers):
                name = f"advisor-{lane.source}-{number}"
                thread = threading.Thread(target=self._work, args=(lane,), name=name, daemon=True)
                lane.threads.append(thread)
                thread.start()

    def readmit(self, source: str, version: int, made: Sequence[Proposal], wanted: int) -> None:
        """Queue proposals of `source` that were thought of at `version`, before the driver was killed."""
        with self._book.lock:
            self._admit(self._lanes[source], replace(self._book.history(), version=version), made, wanted)

    def stop(self) -> None:
        """Let the lanes end; calls in flight are not waited for."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def outages(self) -> dict[str, str]:
        """Return source to message for every lane whose language model cannot be reached now."""
        with self._book.lock:
            return {s: lane.outage for s, lane in self._lanes.items() if lane.outage}

    def take(self, trial_id: str) -> Proposal | None:
        """Make a proposal into trial `trial_id` and return it; None when none is ready just now.

        Never waits. `exhausted` turns True when the space holds nothing untried.

        Raises:
            JournalError: What happened could not be written down, here or in a lane: the run must end.
        """
        with self._wake:
            if self._broken:
                raise self._broken
            self._drop_outdated()
            history = self._book.history()
            chosen = self._pick(history) or self._emergency(history)
            if chosen is None:
                return None
            self._missed_at = None
            self._demand.took()
            self._book.record(TrialStarted(trial_id, chosen))
            self._wake.notify_all()
            return chosen

    def changed(self) -> None:
        """Tell the lanes that the history changed."""
        with self._wake:
            self._wake.notify_all()

    def _pick(self, history: History) -> Proposal | None:
        queues: dict[str, Proposal] = {}
        for queued in history.pending:
            known = queues.get(queued.source)
            # The first of those that know most.
            if known is None or queued.history_version > known.history_version:
                queues[queued.source] = queued
        source = next((s for s in FIRST if s in queues), None)
        source = source or self._choose(history, queues.keys()) or next(iter(queues), None)
        if source is None:
            return None
        return self._with_outage_note(queues[source])

    def _with_outage_note(self, chosen: Proposal) -> Proposal:
        if chosen.source in (*FIRST, *(s for s, lane in self._lanes.items() if lane.outage)):
            return chosen
        notes = tuple(f"`{s}` could not be asked: {m}" for s, m in self.outages().items())
        return replace(chosen, notes=(*chosen.notes, *notes)) if notes else chosen

    def _emergency(self, history: History) -> Proposal | None:
        """Draw at random when no lane delivers: at once when the cluster idles, else after a while."""
        now = time.monotonic()
        self._missed_at = self._missed_at or now
        busy = bool(history.in_state(TrialState.RUNNING))
        if busy and now - self._missed_at < PATIENCE_S:
            return None
        rng = generator(self._seed, history, salt=3)
        config = untried(self._space, taken(history), lambda: self._space.sample(rng), rng, tries=200)
        if config is None:
            self.exhausted = True
            return None
        reason = "drawn at random: no other proposal was ready"
        return self._with_outage_note(proposal(EMERGENCY, history, 0, config, reason))

    def _drop_outdated(self) -> None:
        self._demand.look()
        for queued in self._book.queued():
            lane = self._lanes.get(queued.source)
            if lane is None or lane.outage:  # a paid reply that cannot be refreshed is better than none
                continue
            # What was learned within the last two calls, no proposal can know yet.
            recent = self._book.epochs_since(self._demand.version_before(2 * self._latency(lane)))
            if self._book.epochs_since(queued.history_version) - recent > lane.rule.fresh_epochs:
                self._book.record(ProposalDropped(queued.id, "too much has been learned since it was made"))

    def _is_fresh(self, queued: Proposal, lane: Lane) -> bool:
        if self._book.epochs_since(queued.history_version):
            return False
        return not (lane.rule.fresh_ended and self._book.ended_version > queued.history_version)

    def _work(self, lane: Lane) -> None:
        while True:
            with self._wake:
                wanted = 0
                while not self._stopped and not (wanted := self._wanted(lane)):
                    self._wake.wait(timeout=1.0)
                if self._stopped:
                    return
                lane.in_flight += wanted
                lane.told = self._demand.told()
                history = self._book.history()
                lane.begun.append(began := time.monotonic())
            self._call(lane, history, wanted, began)

    def _wanted(self, lane: Lane) -> int:
        """Return how many proposals the lane should ask for now; 0 for none."""
        if time.monotonic() < lane.retry_at or lane.exhausted_at == len(self._book.history().trials):
            return 0
        # Two calls that are told the same are answered the same; one is enough to ask whether a server is back.
        if lane.in_flight and (lane.failures or lane.told == self._demand.told()):
            return 0
        queued = self._book.queued(lane.source)
        fresh = sum(1 for p in queued if self._is_fresh(p, lane))
        missing = self._stock(lane) - len(queued) - lane.in_flight
        rested = not lane.rule.fresh_ended or time.monotonic() > lane.ended_at + REST * lane.latency
        if missing <= 0 and not (rested and fresh + lane.in_flight < self._needed(lane)):
            return 0
        # A call costs nearly the same whether it brings one proposal or a few.
        return max(lane.rule.batch, min(missing, lane.rule.most), 1)

    def _needed(self, lane: Lane) -> int:
        """Fresh proposals to have ready: as many as will be taken during one and a half calls, and one more."""
        return min(lane.rule.depth, 1 + self._demand.during(lane.source, 1.5 * self._latency(lane)))

    def _stock(self, lane: Lane) -> int:
        """Proposals to have ready, fresh or not: trials that started together end together."""
        return max(self._needed(lane), min(lane.rule.depth, self._demand.at_once(lane.source)))

    def _latency(self, lane: Lane) -> float:
        """Seconds of a call: as measured, or of the one under way where that is longer already."""
        return max(lane.latency, time.monotonic() - min(lane.begun, default=math.inf))

    def _call(self, lane: Lane, history: History, wanted: int, began: float) -> None:
        try:
            made = lane.advisor.propose(history, wanted)
        except AdviceError as error:
            self._failed(lane, wanted, error)
            return
        except JournalError as error:
            with self._wake:
                self._broken = error
            return
        except Exception as error:  # noqa: BLE001 - an advisor's bug must not end somebody's cluster run
            self._failed(lane, wanted, AdviceError(f"{type(error).__name__}: {error}"))
            return
        finally:
            with self._wake:
                lane.begun.remove(began)
                lane.ended_at = time.monotonic()
        spent = time.monotonic() - began
        with self._wake:
            lane.in_flight -= wanted
            lane.latency = spent if not lane.latency else 0.7 * lane.latency + 0.3 * spent
            lane.outage = ""
            lane.exhausted_at = -1 if made else len(history.trials)
            if self._stopped:  # the run is over, its journal perhaps closed
                return
            if self._admit(lane, history, made, wanted) or not made:
                lane.failures = 0
            else:  # nothing but what is known: asked again at once it would say the same
                self._back_off(lane)
            self._wake.notify_all()

    def _admit(self, lane: Lane, history: History, made: Sequence[Proposal], wanted: int) -> int:
        """Queue what is new in `made`, drop what is stale beyond the need, and return how many were new."""
        known = taken(self._book.history())
        new, problems = [], []
        stale = [p for p in self._book.queued(lane.source) if not self._is_fresh(p, lane)]
        known -= {p.key for p in stale}
        for p in made:
            if p.key in known:
                problems.append(f"{p.id} was proposed by somebody else meanwhile")
            else:
                known.add(p.key)
                new.append(p)
        # One that was thought of again goes first: it must not stand in the queue twice.
        again = {p.key for p in new}
        stale.sort(key=lambda p: p.key not in again)
        ready = len(self._book.queued(lane.source)) + len(new)
        doubled = sum(1 for p in stale if p.key in again)
        for old in stale[: max(doubled, min(len(new), ready - self._stock(lane)))]:
            self._book.record(ProposalDropped(old.id, "replaced by one that knows the latest results"))
        if new or problems:
            self._book.record(AdviceGiven(lane.source, history.version, tuple(new), tuple(problems), wanted))
        return len(new)

    def _failed(self, lane: Lane, wanted: int, error: AdviceError) -> None:
        with self._wake:
            lane.in_flight -= wanted
            self._back_off(lane)
            if error.outage and not self._stopped:
                if not lane.outage:
                    reason = f"{lane.source} cannot be asked: {error}"
                    self._book.record(Decision("run", "outage", reason, by="prefetch"))
                lane.outage = str(error)
            self._wake.notify_all()

    def _back_off(self, lane: Lane) -> None:
        lane.failures += 1
        least, most = RETRY_S
        lane.retry_at = time.monotonic() + min(most, least * 2.0 ** min(lane.failures, 10))
