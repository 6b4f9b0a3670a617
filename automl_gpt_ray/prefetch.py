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

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import final

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.default_first import default_proposal
from automl_gpt_ray.book import Book
from automl_gpt_ray.demand import Demand
from automl_gpt_ray.errors import AdviceError, AdviceRejected, AdviceSpent, AdviceUnusable, JournalError, shown
from automl_gpt_ray.events import AdviceGiven, ProposalDropped, TrialStarted
from automl_gpt_ray.lanes import LANGUAGE, LOCAL_RULES, Lane, LaneRule
from automl_gpt_ray.outages import OutagePolicy, Outages
from automl_gpt_ray.queue_rules import OUTDATED, REPLACED, START, Chooser, admit, draw, outdated, pick
from automl_gpt_ray.records import History, Proposal, TrialState
from automl_gpt_ray.space import SearchSpace
from automl_gpt_ray.stock import Stock

__all__ = ["LANGUAGE", "LOCAL_RULES", "LaneRule", "Prefetcher"]

PATIENCE_S = 0.3
RETRY_S = (0.2, 10.0)
RELUCTANT_S = 60.0
"""Longest wait before one that refuses, or answers rubbish, is asked again."""
UNUSABLE = 3
"""Unusable answers in a row that are an outage."""
SWITCH_S = 0.0005

_LOG = logging.getLogger(__name__)


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
        outages: What is done while a source's language model cannot be asked.
        shares: What each source is trusted with: written down with each trial, and what each must be able
            to serve; by default each all trials.
        urgent: Which sources go before the others now.
    """

    def __init__(
        self,
        book: Book,
        space: SearchSpace,
        advisors: Mapping[str, Advisor],
        choose: Chooser,
        seed: int = 0,
        rules: Mapping[str, LaneRule] = LOCAL_RULES,
        outages: OutagePolicy | None = None,
        shares: Callable[[History], Mapping[str, float]] = lambda history: {},
        urgent: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._book, self._space, self._choose, self._seed = book, space, choose, seed
        self._shares, self._urgent = shares, urgent
        self._stock = Stock(book, Demand(book, shares))
        self._lanes = {s: Lane(s, a, rules.get(s, LaneRule())) for s, a in advisors.items()}
        self._outages = Outages(outages or OutagePolicy(), book.record)
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
                self._book.record(AdviceGiven(START, history.version, tuple(seeds)))
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
        for lane in self._lanes.values():
            lane.close()

    def outages(self) -> dict[str, str]:
        """Return source to message for every lane whose language model cannot be reached now."""
        with self._book.lock:
            return self._outages.messages

    @property
    def failure(self) -> str:
        """Why the outage policy ends the run; empty where it does not."""
        return self._outages.failure

    @property
    def spent(self) -> dict[str, str]:
        """Source to why it is not asked again: its budget is spent."""
        with self._book.lock:
            return dict(self._outages.spent)

    @property
    def dry(self) -> bool:
        """Whether no proposal is ready and nobody has one: each source failed, is spent, or has nothing new."""
        with self._book.lock:
            count = len(self._book.history().trials)
            lanes = (lane for lane in self._lanes.values() if lane.source not in self._outages.spent)
            return not self._book.queued() and all(lane.failures or lane.exhausted_at == count for lane in lanes)

    def owes(self, source: str) -> bool:
        """Return whether a proposal of `source` is ready or being made."""
        with self._book.lock:
            return bool(source in self._lanes and (self._lanes[source].in_flight or self._book.queued(source)))

    def take(self, trial_id: str) -> Proposal | None:
        """Make a proposal into trial `trial_id` and return it; None when none is ready just now.

        Never waits. While the policy is to wait for a language model, only its own proposals and those that
        go first are handed out. `exhausted` turns True when the space holds nothing untried.

        Raises:
            JournalError: What happened could not be written down, here or in a lane: the run must end.
        """
        with self._wake:
            if self._broken:
                raise self._broken
            recent = self._drop_outdated()
            waits, urgent, unasked = self._outages.waits, self._urgent(), self._outages.messages
            history = self._book.history()  # last: `waits` may have written something down
            chosen = pick(history, self._choose, unasked, waits, urgent)
            chosen = chosen or (None if waits else self._emergency(history))
            if chosen is None:
                return None
            self._missed_at = None
            self._stock.demand.took()
            self._book.record(TrialStarted(trial_id, chosen, self._shares(history), unasked, waits, urgent, recent))
            self._wake.notify_all()
            return chosen

    def changed(self) -> None:
        """Tell the lanes that the history changed."""
        with self._wake:
            self._wake.notify_all()

    def _emergency(self, history: History) -> Proposal | None:
        """Draw at random when no lane delivers: at once when the cluster idles, else after a while."""
        now = time.monotonic()
        self._missed_at = self._missed_at or now
        busy = bool(history.in_state(TrialState.RUNNING))
        if busy and now - self._missed_at < PATIENCE_S:
            return None
        drawn = draw(self._space, self._seed, history, self._outages.messages)
        self.exhausted = self.exhausted or drawn is None
        return drawn

    def _drop_outdated(self) -> dict[str, int]:
        recent = self._recent()
        rules = {source: lane.rule for source, lane in self._lanes.items()}
        for queued in outdated(self._book, rules, self._outages.messages, recent):
            self._book.record(ProposalDropped(queued.id, OUTDATED, recent.get(queued.source, 0)))
        return recent

    def _recent(self) -> dict[str, int]:
        """Return source to what was learned within its last two calls, which no proposal of it can know yet."""
        self._stock.demand.look()
        since = {
            source: self._book.epochs_since(self._stock.demand.version_before(2 * (lane.latency or lane.call_s)))
            for source, lane in self._lanes.items()
        }
        return {source: epochs for source, epochs in since.items() if epochs}

    def _work(self, lane: Lane) -> None:
        while True:
            with self._wake:
                wanted = 0
                while not self._stopped and not (wanted := self._wanted(lane)):
                    self._wake.wait(timeout=1.0)
                if self._stopped:
                    return
                lane.in_flight += wanted
                lane.told = self._stock.demand.told()
                history = self._book.history()
                lane.begun.append(began := time.monotonic())
            try:
                self._call(lane, history, wanted, began)
            except JournalError as error:  # told to whoever asks for the next trial
                with self._wake:
                    self._broken = error
                return

    def _wanted(self, lane: Lane) -> int:
        return 0 if lane.source in self._outages.spent else self._stock.wanted(lane)

    def _call(self, lane: Lane, history: History, wanted: int, began: float) -> None:
        try:
            made = _checked(lane.advisor.propose(history, wanted))
        except AdviceError as error:
            self._failed(lane, wanted, error)
            return
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - an advisor's bug must not end somebody's cluster run
            if not lane.failures:
                _LOG.exception("the advisor `%s` failed; the others carry on", lane.source)
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
            lane.unusable = 0
            lane.exhausted_at = -1 if made else len(history.trials)
            if self._stopped:  # the run is over, its journal perhaps closed
                return
            if lane.source not in self._outages.spent:
                self._outages.end(lane.source)
            if self._admit(lane, history, made, wanted) or not made:
                lane.failures = 0
            else:  # nothing but what is known: asked again at once it would say the same
                lane.back_off(*RETRY_S)
            self._wake.notify_all()

    def _admit(self, lane: Lane, history: History, made: Sequence[Proposal], wanted: int) -> int:
        """Queue what is new in `made`, drop what is stale beyond the need, and return how many were new."""
        stock = self._stock.of(lane)
        admitted = admit(self._book, lane.source, made, lane.rule, stock, self._space)
        for old in admitted.dropped:
            self._book.record(ProposalDropped(old, REPLACED))
        if admitted.new or admitted.problems:
            given = AdviceGiven(lane.source, history.version, admitted.new, admitted.problems, wanted, stock)
            self._book.record(given)
        return len(admitted.new)

    def _failed(self, lane: Lane, wanted: int, error: AdviceError) -> None:
        with self._wake:
            lane.in_flight -= wanted
            reluctant = isinstance(error, AdviceRejected | AdviceUnusable)
            lane.back_off(RETRY_S[0], RELUCTANT_S if reluctant else RETRY_S[1])
            lane.unusable = lane.unusable + 1 if isinstance(error, AdviceUnusable) else 0
            if not self._stopped:
                self._note(lane, error)
            self._wake.notify_all()

    def _note(self, lane: Lane, error: AdviceError) -> None:
        if isinstance(error, AdviceSpent):
            self._outages.spend(lane.source, str(error))
        elif error.outage:
            self._outages.begin(lane.source, str(error))
        elif lane.unusable >= UNUSABLE:
            self._outages.begin(lane.source, f"{lane.unusable} answers in a row were unusable, the last one: {error}")


def _checked(made: Iterable[Proposal]) -> list[Proposal]:
    found = list(made)
    stranger = next((p for p in found if not isinstance(p, Proposal)), None)
    if stranger is not None:
        raise TypeError(f"`propose` must return proposals, got {shown(stranger)}")
    return found
