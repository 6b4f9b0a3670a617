"""What a run loses when nodes die, and how soon it goes on: `python -m benchmarks.nodes --quick`.

A head without CPUs and nodes that are killed as machines die (SIGKILL to every process), while a trial trains,
while it starts, while it waits and while it becomes another by a revision; a node that comes later. Nodes are
processes on this machine, so a real network's time-outs come on top.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from automl_gpt_ray.book import Book
from automl_gpt_ray.events import Decision, ResultReported, TrialStarted
from automl_gpt_ray.journal import Entry, read_journal
from automl_gpt_ray.ray_tune.run_place import place_of
from automl_gpt_ray.records import History, TrialRecord, TrialState
from benchmarks.model_server import LLMServer
from benchmarks.no_data import NO_DATA
from benchmarks.own_cluster import OwnCluster
from benchmarks.tuning_answer import TuningAnswer

ROOT = Path(__file__).resolve().parents[1]
TRIALS, CLONING_TRIALS = 6, 3
PAUSE_S = 0.5
WAIT_S = 180.0
Entries = list[Entry]


@dataclass(frozen=True)
class Figures:
    """What came of one run.

    Attributes:
        scenario: When the node was killed.
        recovery_s: Seconds from the kill to the next report of a trial that had been on that node.
        trials: Trials begun.
        completed: Trials that came to their end.
        failures: Class of failure to count.
        duplicates: Trials with the configuration of another.
        repeated_steps: Steps reported more than once, over all trials.
        clones: Trials that went on from the last step of another.
        nodes: Nodes that reported.
        exit_code: Of the driver.
        output: What the driver printed.
    """

    scenario: str
    recovery_s: float
    trials: int
    completed: int
    failures: dict[str, int]
    duplicates: int
    repeated_steps: int
    clones: int
    nodes: int
    exit_code: int
    output: str


def mid_trial(cluster: OwnCluster, folder: Path) -> Figures:
    """Kill one of two nodes while its trial trains; a third comes later. Storage by URI."""
    cluster.add_node(1)
    doomed = cluster.add_node(1)

    def kill(entries: Entries) -> bool:
        return len({_node(e) for e in entries if _node(e)}) == 2 and max(_steps(entries)) >= 3

    return _run("mid-trial", cluster, folder, f"file://{folder}/run", kill, [doomed], later=1)


def during_start(cluster: OwnCluster, folder: Path) -> Figures:
    """Kill the only node while it starts its first trial; another comes."""
    doomed = cluster.add_node(1)

    def kill(entries: Entries) -> bool:
        return any(isinstance(e.event, TrialStarted) for e in entries)

    return _run("during start", cluster, folder, f"{folder}/run", kill, [doomed], later=1)


def while_paused(cluster: OwnCluster, folder: Path) -> Figures:
    """Kill the only node while a trial is paused; another comes."""
    doomed = cluster.add_node(1)

    def kill(entries: Entries) -> bool:
        return any(isinstance(e.event, Decision) and e.event.action == "pause" for e in entries)

    return _run("while paused", cluster, folder, f"{folder}/run", kill, [doomed], later=1, freeze=True)


def while_cloning(cluster: OwnCluster, folder: Path) -> Figures:
    """Kill the only node as a trial has been stopped for its clone, which has not reported yet; another comes."""
    doomed = cluster.add_node(1)

    def kill(entries: Entries) -> bool:
        return any(isinstance(e.event, Decision) and e.event.action == "clone" for e in entries)

    with LLMServer(Widening()) as server:
        llm = {"model": "test-model", "base_url": server.url}
        return _run("while cloning", cluster, folder, f"{folder}/run", kill, [doomed], later=1, freeze=True, llm=llm)


SCENARIOS = (mid_trial, during_start, while_paused, while_cloning)


class Widening:
    """A language model that gives the first trial it reviews the larger `size`: it becomes another.

    Only the first: whether a later one began small is chance, and its clone would be one trial more.
    """

    def __init__(self) -> None:
        self._usual, self._first = TuningAnswer(), ""

    def __call__(self, body: Mapping[str, Any]) -> str:
        """Return the reply to a request's body."""
        asked = re.findall(r"^trial \W*(\w+)\W*: at step", body["messages"][-1]["content"], re.MULTILINE)
        if not asked:
            return self._usual(body)
        self._first = self._first or asked[0]
        told = {"action": "revise", "changes": {"size": "large"}, "reason": "it is too small"}
        usual = {"action": "continue", "reason": "it goes on well"}
        return json.dumps({"reviews": [{"trial": n, **(told if n == self._first else usual)} for n in asked]})


def _run(
    scenario: str,
    cluster: OwnCluster,
    folder: Path,
    run_dir: str,
    ready: Callable[[Entries], bool],
    doomed: Sequence[Any],
    later: int,
    freeze: bool = False,
    llm: Mapping[str, Any] | None = None,
) -> Figures:
    folder.mkdir(parents=True, exist_ok=True)
    journal = place_of(run_dir).folder / "journal.jsonl"
    command = [
        sys.executable,
        "-m",
        "automl_gpt_ray.cli",
        "run",
        str(job_file(folder, freeze, llm)),
        "--run-dir",
        run_dir,
    ]
    with (folder / "driver.log").open("wb") as log:
        driver = subprocess.Popen(  # noqa: S603 - our own command line
            [*command, "--address", cluster.address], env=cluster.environment, cwd=ROOT, stdout=log, stderr=log
        )
        try:
            _until(lambda: driver.poll() is not None or (journal.exists() and ready(read_journal(journal))))
            for node in doomed:
                node.kill()
            killed = time.time()
            for _ in range(later):
                cluster.add_node(1, wait=False)
            driver.wait(WAIT_S)
        finally:
            driver.kill()
            cluster.end_nodes()
    output = (folder / "driver.log").read_text(errors="replace")
    return _figures(scenario, read_journal(journal), killed, driver.returncode, output)


def _figures(scenario: str, entries: Entries, killed: float, code: int, output: str) -> Figures:
    history = Book().replay(e.event for e in entries).history()
    reports = [(e.event.trial, e.event.observation.step) for e in entries if isinstance(e.event, ResultReported)]
    hit = _under_way(entries, killed)
    next_at = [
        e.time for e in entries if e.time > killed and isinstance(e.event, ResultReported) and e.event.trial in hit
    ]
    failures: dict[str, int] = {}
    for trial in history.in_state(TrialState.FAILED):
        failures[trial.failure or "error"] = failures.get(trial.failure or "error", 0) + 1
    return Figures(
        scenario,
        round(next_at[0] - killed, 2) if next_at else float("nan"),
        len(history.trials),
        sum(t.state in (TrialState.COMPLETED, TrialState.STOPPED) for t in history.trials),
        failures,
        len(history.trials) - len({json.dumps(dict(t.config), sort_keys=True) for t in history.trials}),
        len(reports) - len(set(reports)),
        sum(_goes_on(t, history) for t in history.trials),
        len({_node(e) for e in entries if _node(e)}),
        code,
        output,
    )


def _goes_on(trial: TrialRecord, history: History) -> bool:
    parent = trial.lineage.parent
    before = next((t for t in history.trials if parent and t.id == parent.trial), None)
    began = {observation.metrics["began"] for observation in trial.observations}
    return before is not None and bool(began) and min(began) == before.last_step


def _under_way(entries: Entries, killed: float) -> set[str]:
    """Return the trials that had been on the node of the latest report before the kill, or had only begun."""
    before = [e for e in entries if e.time <= killed]
    on = {e.event.trial: _node(e) for e in before if isinstance(e.event, ResultReported)}
    after = {_node(e) for e in entries if e.time > killed}
    history = Book().replay(e.event for e in before).history()
    open_now = {t.id for t in history.trials if not t.state.ended}
    return {trial for trial in open_now if on.get(trial) is None or on[trial] not in after} or open_now


def _node(entry: Entry) -> int:
    return int(entry.event.observation.metrics["node"]) if isinstance(entry.event, ResultReported) else 0


def _steps(entries: Entries) -> list[int]:
    return [e.event.observation.step for e in entries if isinstance(e.event, ResultReported)] or [0]


def _until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError("the run never came so far")
        time.sleep(0.05)


def job_file(folder: Path, freeze: bool, llm: Mapping[str, Any] | None = None) -> Path:
    """Write the job of all scenarios and return its file; `llm` may clone trials by their `size`."""
    lr = {"type": "float", "low": 1e-4, "high": 0.1, "log": True, "default": 0.02}
    pause = {"type": "constant", "value": PAUSE_S}
    card: dict[str, Any] = {
        "name": "climber",
        "structure": "none",
        "tasks": ["classification"],
        "input_types": ["tabular"],
        "hyperparameters": {"lr": lr, "pause": pause},
        "trainable": "benchmarks.climber:train",
        "max_steps": 8,
    }
    if llm:
        sizes = {"type": "choice", "choices": ["small", "large"], "default": "small"}
        pause["value"] = 3 * PAUSE_S
        card |= {"hyperparameters": {**card["hyperparameters"], "size": sizes}, "clone": ["size"]}
    job: dict[str, Any] = {
        "data_card": NO_DATA,
        "model_card": card,
        "request": {"metrics": [{"name": "score", "mode": "max"}]},
        "trials": TRIALS,
        "scheduler": {"type": "freeze_thaw", "grace": 2} if freeze else {"type": "none"},
        "experience": "off",
    }
    if llm:
        # Nothing is paused; a review comes two seconds after a trial asked for it, and must find it still training.
        steered = {"type": "freeze_thaw", "grace": 8, "review_every": 4, "forecasts": "ignored"}
        job |= {"llm": llm, "scheduler": steered, "trials": CLONING_TRIALS}
    path = folder / "job.yaml"
    path.write_text(json.dumps(job), "utf-8")
    return path


def own_cluster(folder: Path) -> OwnCluster:
    """Return a head without CPUs whose nodes find this package."""
    return OwnCluster(folder, cpus=0, environment={"PYTHONPATH": str(ROOT)})


def main() -> None:
    """Print a table and a line of figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each scenario once instead of five times")
    repeats = 1 if parser.parse_args().quick else 5
    found: list[Figures] = []
    for scenario in SCENARIOS:
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as name, own_cluster(Path(name) / "cluster") as cluster:
                found.append(scenario(cluster, Path(name) / "run"))
                told = {k: v for k, v in asdict(found[-1]).items() if k != "output"}
                if found[-1].failures or found[-1].exit_code:
                    print(found[-1].output, file=sys.stderr)
                print(", ".join(f"{key} {value}" for key, value in told.items()), flush=True)
    print(json.dumps([{k: v for k, v in asdict(f).items() if k != "output"} for f in found]))


if __name__ == "__main__":
    main()
