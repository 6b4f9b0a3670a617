"""What becomes of a run when the language model or its server misbehaves in every known way.

    python -m benchmarks.faults [--quick]

Each kind hits every request of a run of its own: real sockets, the real `openai` client with retries,
and the real `LLMSearch` with its background threads, driven by the calls that Ray's event loop makes
(without Ray: its processes would add minutes and no fault). A run is complete when all its trials were
proposed and recorded as completed, and what happened to the model is in its journal.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from automl_gpt_ray.events import CallFailed, Decision
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.retrying import Retrying
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import TrialState
from benchmarks.bad_replies import BAD_REPLIES
from benchmarks.model_faults import FAULTS, Fault
from benchmarks.model_server import LLMServer
from benchmarks.sleepers import DEFAULT, METRIC, quality, space
from benchmarks.tuning_answer import TuningAnswer

STEPS, STEP_S, TIMEOUT_S, PATIENCE_S = 3, 0.01, 1.0, 15.0


@dataclass(frozen=True)
class Case:
    """One kind of trouble.

    Attributes:
        kind: Its name.
        where: `server` or `reply`.
        completed: Trials that ended well.
        trials: Trials of the run.
        by_model: Trials that the language model proposed all the same.
        requests: Made at the server.
        happened: What the journal says of it.
    """

    kind: str
    where: str
    completed: int
    trials: int
    by_model: int
    requests: int
    happened: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every kind, print the table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials a run; every kind all the same")
    parser.add_argument("--trials", type=int, help="of a run, at least")
    options = parser.parse_args(arguments)
    trials = options.trials or (6 if options.quick else 20)
    print("| kind | where | completed | by the model | requests | what happened |\n|---|---|--:|--:|--:|---|")
    cases = []
    for kind, where, server in _servers():
        with server:
            cases.append(_run(kind, where, server, trials))
        case = cases[-1]
        done = f"{case.completed}/{case.trials}"
        print(f"| {kind} | {where} | {done} | {case.by_model} | {case.requests} | {case.happened} |", flush=True)
    complete = sum(case.completed == case.trials for case in cases)
    figures = {"kinds": len(cases), "complete": complete, "cases": [asdict(case) for case in cases]}
    print(json.dumps({"benchmark": "faults", "options": vars(options), **figures}))


def _servers() -> Iterator[tuple[str, str, LLMServer]]:
    for kind, fault in FAULTS.items():
        yield kind, "server", LLMServer(TuningAnswer(), fault=_always(fault))
    for kind, text in BAD_REPLIES.items():
        yield kind, "reply", LLMServer(_saying(text))


def _always(fault: Fault) -> Callable[[int], Fault]:
    return lambda number: fault


def _saying(text: str | Callable[[str], str]) -> Callable[[Any], str]:
    good = TuningAnswer()
    return lambda body: text if isinstance(text, str) else text(good(body))


def _run(kind: str, where: str, server: LLMServer, trials: int) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        client = Retrying(OpenAIClient("test-model", server.url, timeout_s=TIMEOUT_S), 2, base_s=0.05, cap_s=0.2)
        searcher = LLMSearch(client, default=DEFAULT, max_steps=STEPS, journal=folder)
        searcher.set_search_properties(METRIC, "max", space())
        _trials(searcher, trials)
        history = searcher.book.history()
        happened = _happened(searcher)
        searcher.close()
    return Case(
        kind=kind,
        where=where,
        completed=len(history.in_state(TrialState.COMPLETED)),
        trials=len(history.trials),
        by_model=sum(1 for t in history.trials if t.proposal.source == "language"),
        requests=len(server.requests),
        happened=happened,
    )


def _trials(searcher: LLMSearch, trials: int) -> None:
    """Run trials one after another: so many, and on until the model's first call has come to something."""
    end, number = time.monotonic() + PATIENCE_S, 0
    while time.monotonic() < end and (number < trials or not _settled(searcher)):
        trial = f"t{number}"
        config = searcher.suggest(trial)
        if not isinstance(config, dict):
            time.sleep(0.02)
            continue
        result: dict[str, Any] = {}
        for step in range(1, STEPS + 1):
            time.sleep(STEP_S)
            result = {METRIC: quality(config) * step / STEPS, "training_iteration": step, "time_total_s": STEP_S * step}
            searcher.on_trial_result(trial, result)
        searcher.on_trial_complete(trial, result)
        number += 1


def _settled(searcher: LLMSearch) -> bool:
    served = any(t.proposal.source == "language" for t in searcher.book.history().trials)
    return served or bool(searcher.book.spending.failures)


def _happened(searcher: LLMSearch) -> str:
    events = [entry.event for entry in read_journal(searcher.book_path)]
    outages = [e.reason for e in events if isinstance(e, Decision) and e.action == "outage"]
    failures = [e.message for e in events if isinstance(e, CallFailed)]
    asked = searcher.book.spending.calls
    story = [*outages[:1]] or [*failures[:1]] or [f"answered {asked} times"]
    text = " ".join(story[0].split()).replace("|", "/")
    return text if len(text) <= 160 else text[:159] + "…"


if __name__ == "__main__":
    main()
