"""One run of many workers and trials in virtual time, by the parts that a real driver runs.

`LLMSearch` with its journal, its prefetcher and its advisors, and Ray's ASHA are the real ones; what is virtual is
training, the language model's 10 s and its limit, and the clock that they read. The driver is one thread, as Ray's
event loop: what a call of searcher or scheduler takes on the processor is added to the clock, and events that came
meanwhile wait. What advisors take of the same interpreter is told, and not added. Ray's own work is not in it.

Optuna and the prompts would take most of a simulation's time, at the same cost call after call: of so many calls
(`--sampled`) one is real and measured, and the others bring random configurations after as long as the latest real one.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, final
from unittest.mock import patch

import numpy as np
import psutil
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from automl_gpt_ray import demand, lanes, prefetch, stock
from automl_gpt_ray.advisors.advisor import forecast, proposal
from automl_gpt_ray.config import load_job
from automl_gpt_ray.curves.reading import Reader
from automl_gpt_ray.errors import AutoMLGPTError
from automl_gpt_ray.lanes import Lane
from automl_gpt_ray.llm.quota import Quota, Terms
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import History, Proposal
from benchmarks.prompt_growth import JOB, final_loss
from benchmarks.stand_in import PENDING, RUNNING, TERMINATED, SimTrial
from benchmarks.virtual_parts import STEP_S, Idle, Prepared, Talker, Virtual, children_s, percentiles, remembered

STEPS, START_S = 9, 5.0
LATENCY_S = 10.0
TICK_S = 0.1
"""Ray asks a searcher that had nothing again so soon."""
REAL_AT_FIRST = 5
SCANS = 50
"""Of so many starts one asks Ray's scheduler to choose: it goes through all trials, whoever they are."""
Result = TypeVar("Result")


@final
class BigRun:
    """One run; `figures` after `run`.

    Args:
        workers: Trials at once.
        trials: Of the run.
        per_minute: Requests that the model's server takes.
        folder: Of the journal.
        until_s: Real seconds after which it is given up.
        sampled: Of so many calls of an advisor one is real.
        known: Trials that had ended when it began; not among `trials`.
    """

    def __init__(
        self,
        workers: int,
        trials: int,
        per_minute: int,
        folder: Path,
        until_s: float = 1e9,
        sampled: int = 1,
        known: int = 0,
    ) -> None:
        self._workers, self._trials = workers, trials
        self._clock, self._order = Virtual(), itertools.count()
        self._brief = (loaded := load_job(JOB)).brief
        self._reader = Reader(self._brief.space)
        self._llm, self._quota = Talker(), Quota(self._clock.monotonic)
        self._quota.join("run", Terms(requests_per_minute=per_minute))
        self._search = LLMSearch(
            self._llm, model_card=loaded.model, data_card=loaded.data, max_steps=STEPS, step_key="step", journal=folder
        )
        self._asha: Any = AsyncHyperBandScheduler(time_attr="step", max_t=STEPS, grace_period=1, reduction_factor=3)
        self._asha.set_search_properties(self._brief.objective.metric, self._brief.objective.mode)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._all: list[SimTrial] = []
        self._busy, self._begun, self._free_at = 0, 0, 0.0
        self._tops: dict[str, float] = {}
        self._rng = np.random.default_rng(0)
        self._took: dict[str, list[float]] = defaultdict(list)
        self._advice_s: dict[str, float] = defaultdict(float)
        self._advised: dict[str, Prepared] = {}
        self._real: dict[str, Any] = {}
        self._worked, self._last_start, self._ticking = 0.0, 0.0, False
        self._scan_s, self._until_s = 0.0, until_s
        self._known = known
        self._sampled, self._asked, self._latest = sampled, Counter[str](), dict[str, tuple[float, float]]()
        self._sources: dict[str, int] = defaultdict(int)
        self.ended, self.elsewhere_mb = "", 0.0

    def get_trials(self) -> list[SimTrial]:
        """Return every trial, as Ray's controller does."""
        return self._all

    def run(self) -> None:
        """Run to the end."""
        with ExitStack() as stack:
            for module in (prefetch, lanes, stock, demand):
                stack.enter_context(patch.object(module, "time", self._clock))
            idle = SimpleNamespace(Condition=threading.Condition, Thread=Idle)
            stack.enter_context(patch.object(prefetch, "threading", idle))
            self._all += remembered(self._search.book, self._asha, self._brief, self._known, self._rng)
            self._search.reconcile({})  # taken up, as by a driver that resumes
            supply = self._supply = self._search._start()  # noqa: SLF001 - its threads are the simulation's
            supply._stock.demand._clock = self._clock.monotonic  # noqa: SLF001 - a default, bound on import
            for lane in supply._lanes.values():  # noqa: SLF001 - likewise
                self._real[lane.source], self._advised[lane.source] = lane.advisor, Prepared()
                lane.advisor = self._advised[lane.source]
            self._until = time.monotonic() + self._until_s
            while not self.ended:
                self._look()
                self._fill()
                self._next()
            for trial in self._search.book.history().trials[self._known :]:
                self._sources[trial.proposal.source] += 1
            self.elsewhere_mb = sum(child.memory_info().rss for child in psutil.Process().children()) / 2**20
            for advisor in self._real.values():
                getattr(advisor, "close", lambda: None)()
            self._search.close()

    def _next(self) -> None:
        if not self._events or time.monotonic() > self._until:
            self.ended = "given up" if self._events else "finished"
            return
        at, _, handle = heapq.heappop(self._events)
        now = max(at, self._free_at, self._clock.now)
        if self._begun < self._trials:
            self._worked += self._busy * (now - self._clock.now)
            self._last_start = now
        self._clock.now = now
        handle()

    def _at(self, seconds: float, handle: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._clock.now + seconds, next(self._order), handle))

    def _timed(self, what: str, call: Callable[[], Result]) -> Result:
        """Return `call()`, done in the event loop: the clock stands still for everybody else meanwhile."""
        began = time.thread_time()
        result = call()
        self._took[what].append(spent := time.thread_time() - began)
        self._free_at = max(self._free_at, self._clock.now) + spent
        return result

    def _fill(self) -> None:
        while self._busy < self._workers and self._begun < self._trials:
            name = f"{self._begun:06d}"
            config: Any = self._timed("suggest", lambda name=name: self._search.suggest(name))  # type: ignore[misc]
            if config is None or isinstance(config, str):
                if not self._ticking:
                    self._ticking = True
                    self._at(TICK_S, self._tick)
                return
            self._start(SimTrial(name, self._begun, config))

    def _tick(self) -> None:
        self._ticking = False

    def _start(self, trial: SimTrial) -> None:
        self._begun += 1
        self._busy += 1
        self._all.append(trial)
        self._timed("scheduler: add", lambda: self._asha.on_trial_add(self, trial))
        if self._begun % SCANS == 1:
            trial.status = PENDING
            began = time.thread_time()
            self._asha.choose_trial_to_run(self)
            self._scan_s = time.thread_time() - began
            self._took["scheduler: choose"].append(self._scan_s)
        self._free_at += self._scan_s
        trial.status = RUNNING
        self._tops[trial.trial_id] = final_loss(self._brief, self._search.book.trial(trial.trial_id).config)  # type: ignore[union-attr]
        self._at(START_S + self._step_s(), lambda: self._report(trial))

    def _step_s(self) -> float:
        return STEP_S * float(self._rng.uniform(0.5, 1.5))

    def _report(self, trial: SimTrial) -> None:
        trial.step += 1
        loss = self._tops[trial.trial_id] + 0.3 * 0.5**trial.step + 0.003 * float(self._rng.normal())
        result = trial.result({self._brief.objective.metric: loss, "step": trial.step}, STEP_S)
        decided = self._timed("scheduler: result", lambda: self._asha.on_trial_result(self, trial, result))
        trial.last_result = result
        if decided == TrialScheduler.STOP or trial.step >= STEPS:
            self._timed("scheduler: end", lambda: self._asha.on_trial_complete(self, trial, result))
            self._timed("searcher: end", lambda: self._search.on_trial_complete(trial.trial_id, result=result))
            trial.status, trial.last_result = TERMINATED, {}
            self._busy -= 1
            return
        self._timed("searcher: result", lambda: self._search.on_trial_result(trial.trial_id, result))
        self._at(self._step_s(), lambda: self._report(trial))

    def _look(self) -> None:
        """Let each lane ask, as its threads would."""
        began = time.thread_time()
        for lane in self._supply._lanes.values():  # noqa: SLF001 - its threads are the simulation's
            while len(lane.begun) < lane.rule.workers and self._begun < self._trials:
                if not (wanted := self._supply._wanted(lane)):  # noqa: SLF001
                    break
                self._ask(lane, wanted)
        self._advice_s["looking"] += time.thread_time() - began

    def _ask(self, lane: Lane, wanted: int) -> None:
        lane.in_flight += wanted
        lane.told = self._supply._stock.demand.told()  # noqa: SLF001
        history = self._search.book.history()
        lane.begun.append(began := self._clock.now)
        if lane.source == "language":
            self._permit(lane, history, wanted, began, str(next(self._order)))
        else:
            self._call(lane, history, wanted, began, 0.0)

    def _permit(self, lane: Lane, history: History, wanted: int, began: float, call: str) -> None:
        wait_s = self._quota.ask("run", call, prompt=1, reply=1).wait_s
        if wait_s:
            self._at(wait_s, lambda: self._permit(lane, history, wanted, began, call))
            return
        self._quota.settle("run", call, 1, (0, 0.0))
        self._call(lane, history, wanted, began, LATENCY_S)

    def _call(self, lane: Lane, history: History, wanted: int, began: float, more_s: float) -> None:
        self._asked[lane.source] += 1
        if self._asked[lane.source] % self._sampled == 1 % self._sampled or self._asked[lane.source] < REAL_AT_FIRST:
            answer = self._really(lane.source, history, wanted)
        else:
            drawn = [self._brief.space.sample(self._rng) for _ in range(wanted)]
            made = [proposal(lane.source, history, next(self._order), config, "drawn") for config in drawn]
            answer = forecast(made, history, self._reader)
        here, elsewhere = self._latest[lane.source]
        self._advice_s[lane.source] += here
        self._advice_s[f"{lane.source}, its process"] += elsewhere
        self._at(here + elsewhere + more_s, lambda: self._answered(lane, history, wanted, began, answer))

    def _really(self, source: str, history: History, wanted: int) -> list[Proposal] | Exception:
        """Ask the advisor, and note the processor time that it took here and in a process of its own."""
        here, there = time.thread_time(), children_s()
        answer: list[Proposal] | Exception
        try:
            answer = self._real[source].propose(history, wanted)
        except AutoMLGPTError as error:
            answer = error
        self._latest[source] = time.thread_time() - here, max(0.0, children_s() - there)
        self._took[f"advisor: {source}"].append(sum(self._latest[source]))
        return answer

    def _answered(
        self, lane: Lane, history: History, wanted: int, began: float, answer: list[Proposal] | Exception
    ) -> None:
        self._advised[lane.source].answer = answer
        processor = time.thread_time()
        self._supply._call(lane, history, wanted, began)  # noqa: SLF001
        self._advice_s["entering"] += time.thread_time() - processor

    def figures(self) -> dict[str, Any]:
        """Return what the run came to; milliseconds are of the processor."""
        span = max(1e-9, self._last_start - 1000.0)
        loop = [k for k in self._took if not k.startswith("advisor")]
        loop_s = sum(sum(self._took[k]) for k in loop) + (self._scan_s * self._begun / 2)
        return {
            "workers": self._workers,
            "known": self._known,
            "trials": self._begun,
            "ended": self.ended,
            "virtual_h": round(span / 3600, 2),
            "utilisation": round(self._worked / (self._workers * span), 4),
            "prompts_per_trial": round(self._asked["language"] / max(1, self._begun), 4),
            "tokens_per_prompt": round(self._llm.tokens / max(1, self._llm.calls)),
            "shares": {source: round(n / max(1, self._begun), 3) for source, n in sorted(self._sources.items())},
            "loop_busy": round(loop_s / span, 4),
            "advice_busy": round(sum(v for k, v in self._advice_s.items() if "process" not in k) / span, 4),
            "ms": {k: percentiles(v) for k, v in sorted(self._took.items())},
            "seconds": {k: round(v, 1) for k, v in self._advice_s.items()},
        }
