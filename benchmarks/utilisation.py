"""Do slots stand idle while a language model thinks? Busy share of the slots, relative to random search.

    python -m benchmarks.utilisation [--quick]

Eight trials at a time sleep through steps of a second, in real Ray, against a model server of its own
process that takes 5 s or 20 s a reply and fails one request in ten. Every row has the same window,
counted from the moment when each slot has had a trial (workers take seconds to start, and not the same
seconds twice); the baseline is Ray's own random search in the same session. The result
delay is the time from a trial's report until searcher, scheduler and callbacks have dealt with it: a
report waits until the event loop asks for it, so this is the delay of Ray's event loop.

Controls: a searcher that waits for the model in `suggest`; and ours with one call in flight that
brings one proposal.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from automl_gpt_ray.lanes import LANGUAGE, LOCAL_RULES, LaneRule
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from benchmarks.blocking_search import BlockingSearch
from benchmarks.server_process import ServerProcess
from benchmarks.sleepers import DEFAULT, Load, run_sleepers, start_ray

SLOTS, CPUS, FAILURES = 8, 2, 0.1
# What is measured is whether proposals arrive in time, so the mixture is told to want them; the row
# "earned trust" has the default shares instead.
WANTED = {"language": 0.75, "classical": 0.2, "local": 0.05}
ONE_CALL = "one call in flight"
ONE = LaneRule(workers=1, batch=1, most=1, depth=LANGUAGE.depth, fresh_epochs=LANGUAGE.fresh_epochs, fresh_ended=False)


@dataclass(frozen=True)
class Row:
    """One method under the load.

    Attributes:
        method: Its name.
        latency_s: Of the model server.
        busy: Busy share of the slots.
        relative: The same, over random search's.
        trials: Started.
        by_model: Share of the trials that the language model proposed.
        delay_p50_ms: Result delay, median.
        delay_p99_ms: Result delay, 99 % quantile.
        calls: Requests at the model server.
        replies: Good ones that arrived.
        proposals: Of the language model, queued.
        dropped: Of those, dropped or replaced before a trial took them.
    """

    method: str
    latency_s: float
    busy: float
    relative: float
    trials: int
    by_model: float
    delay_p50_ms: float
    delay_p99_ms: float
    calls: int = 0
    replies: int = 0
    proposals: int = 0
    dropped: int = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and end with one line of JSON."""
    options = _options(arguments)
    start_ray(CPUS)
    rows: list[Row] = []
    for method, latency_s in _plan(options):
        rows.append(_measure(method, latency_s, options, rows[0].busy if rows else None))
        _tell(rows[-1], first=len(rows) == 1)
    print(json.dumps({"benchmark": "utilisation", "options": vars(options), "rows": [asdict(r) for r in rows]}))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter windows and no controls")
    parser.add_argument("--seconds", type=float, help="length of a window")
    parser.add_argument("--steps", type=int, default=10, help="steps of a trial")
    parser.add_argument("--step-seconds", type=float, default=1.0)
    parser.add_argument("--latencies", type=float, nargs="*", default=[5.0, 20.0])
    parser.add_argument("--methods", nargs="*", choices=_SEARCHERS, help="beside random search")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or (60.0 if options.quick else 120.0)
    options.methods = options.methods or (["ours"] if options.quick else list(_SEARCHERS))
    return options


def _plan(options: argparse.Namespace) -> list[tuple[str, float]]:
    return [("random search", 0.0), *((m, latency) for latency in options.latencies for m in options.methods)]


def _measure(method: str, latency_s: float, options: argparse.Namespace, baseline: float | None) -> Row:
    load = Load(SLOTS, options.seconds)
    with tempfile.TemporaryDirectory() as folder, ServerProcess(latency_s, FAILURES) as server:
        searcher = _SEARCHERS[method](server, options.steps) if method in _SEARCHERS else None
        shape = {"steps": options.steps, "step_s": options.step_seconds}
        rules = patch.dict(cast("dict[str, LaneRule]", LOCAL_RULES), {"language": ONE} if method == ONE_CALL else {})
        with rules:
            run_sleepers(searcher, load, Path(folder), cpu=CPUS / SLOTS, **shape)
        busy, calls = load.busy_share, server.requests()
        counts = _counts(searcher)
    return Row(
        method=method,
        latency_s=latency_s,
        busy=round(busy, 4),
        relative=round(busy / (baseline or busy), 4),
        delay_p50_ms=round(1000 * load.delay(0.5), 1),
        delay_p99_ms=round(1000 * load.delay(0.99), 1),
        calls=calls,
        **{"trials": len(load.trials), "by_model": 0.0, **counts},
    )


def _counts(searcher: Any) -> dict[str, Any]:
    if searcher is None:
        return {}
    history = searcher.book.history()
    sources = Counter(t.proposal.source for t in history.trials)
    made = searcher.made if isinstance(searcher, Ours) else {}
    return {
        "trials": len(history.trials),
        "by_model": round(sources["language"] / max(1, len(history.trials)), 3),
        "replies": searcher.book.spending.calls,
        **made,
    }


class Ours(LLMSearch):
    """`LLMSearch`, which also tells what became of the language model's proposals."""

    @property
    def made(self) -> dict[str, int]:
        """Proposals queued, and those dropped or replaced before a trial took them."""
        taken = sum(1 for t in self.book.history().trials if t.proposal.source == "language")
        queued = len(self.book.queued("language"))
        made = sum(
            json.loads(line.partition('"event":')[2][:-1])["proposals"].__len__()
            for line in self.book_path.read_text("utf-8").splitlines()
            if '"kind":"advice"' in line and '"source":"language"' in line
        )
        return {"proposals": made, "dropped": made - taken - queued}


def _ours(server: ServerProcess, steps: int, **arguments: Any) -> Ours:
    return Ours(server.client(), default=DEFAULT, max_steps=steps, **arguments)


_SEARCHERS: dict[str, Any] = {
    "ours": lambda server, steps: _ours(server, steps, priors=WANTED),
    "ours, earned trust": _ours,
    ONE_CALL: lambda server, steps: _ours(server, steps, priors=WANTED),
    "blocking": lambda server, steps: BlockingSearch(server.client(retries=False), steps),
}


def _tell(row: Row, first: bool) -> None:
    cells = asdict(row)
    if first:
        print("| " + " | ".join(cells) + " |", "|" + "---|" * len(cells), sep="\n")
    print("| " + " | ".join(str(value) for value in cells.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
