"""The live view: what it shows of a run, that it never stands in anybody's way, and lines without a terminal."""

from __future__ import annotations

import io
import logging
import math
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console
from small_runs import MAXIMISE, bare_brief, trial

from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.asktell import AskTell
from automl_gpt_ray.budget import Budget, Price
from automl_gpt_ray.events import Decision, ResultReported
from automl_gpt_ray.live_panel import Scene, clock, panel
from automl_gpt_ray.live_view import LiveView, progress_view
from automl_gpt_ray.ray_tune.progress import Audience, watched
from automl_gpt_ray.records import History, LogPoint, Observation, PredictedLog, TrialState, Usage
from automl_gpt_ray.sparkline import sparkline
from automl_gpt_ray.spending import Spending

CONFIG = {"eta": 0.1, "depth": 6, "shape": "leafwise"}


def shown(scene, width=100, height=40):
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(panel(scene, width, height))
    return console.file.getvalue()


def scene(trials, **changes):
    told = {"title": "job: trees on leaves", "spending": Spending(), "shares": {}, "budget": Budget(), "seconds": 75.0}
    return Scene(history=History(MAXIMISE, tuple(trials), max_step=4), **{**told, **changes})


def test_a_sparkline_follows_a_curve():
    assert sparkline([(1, 0.0), (2, 0.5), (3, 1.0)], (0, 1), 4, 4) == "▁▅█ "
    assert sparkline([(1, 0.0), (4, 1.0)], (0, 1), 4, 4) == "▁▁▁█"
    assert sparkline([(2, math.nan)], (0, 1), 2, 2) == " ×"
    assert sparkline([(10, 5.0)], (0, 1), 1000, 4) == "█   "
    assert sparkline([], (0, 1), 4, 4) == "    "
    assert sparkline([(1, 3.0)], (3, 3), 1, 1) == "▅"


def test_a_panel_says_how_the_run_stands():
    log = PredictedLog("accuracy", (LogPoint(1, 0.4, 0.3, 0.5), LogPoint(4, 0.8, 0.7, 0.9)), "language")
    best = trial(2, CONFIG, [0.5, 0.9], TrialState.COMPLETED, source="language")
    best = replace(best, proposal=replace(best.proposal, predicted_log=log))
    trials = [
        trial(1, CONFIG, [0.6], TrialState.PAUSED, source="default"),
        best,
        trial(3, CONFIG, [], TrialState.FAILED, "oom"),
        trial(4, CONFIG, [0.3, math.nan], TrialState.RUNNING),
    ]
    budget = Budget(steps=10, trials=8, prices={"m": Price(1.0, 2.0)})
    spending = Spending(3, 1, Usage(1000, 500), 2.0, {"m": Usage(1000, 500)})
    text = shown(scene(trials, budget=budget, spending=spending, model="m", shares={"local": 0.25, "language": 0.75}))
    assert "0:01:15" in text
    assert "1 running · 1 paused · 1 finished · 1 failed" in text
    assert "5 of 10 training steps left" in text
    assert "m · 3 calls (1 failed) · 1,500 tokens · US$ 0.0020" in text
    assert "language 75% · local 25%" in text
    assert "accuracy 0.9000 · trial 2 (language) at step 2 · default 0.6000" in text
    assert "predicted 0.8" in text
    assert "real 0.9" in text
    assert "4    2/4   0.3000 classical: a test of classical" in text


def test_a_panel_fits_the_screen():
    trials = [trial(n, CONFIG, [0.1 * n], TrialState.RUNNING) for n in range(1, 9)]
    text = shown(scene(trials, lines=[f"line {n} " + "x" * 200 for n in range(50)]), width=60, height=20)
    assert len(text.splitlines()) <= 20
    assert max(map(len, text.splitlines())) <= 60
    assert "and 2 more" in text
    assert "line 49" in text
    assert "line 0 " not in text


def test_a_panel_obeys_nobodys_text(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2-hunter2")
    text = shown(scene([], title="\x1b[2Jjob", lines=["[red]said[/red]\x1b]0;x\x07\nhunter2-hunter2"]))
    assert "\x1b" not in text
    assert "[red]said[/red]" in text
    assert "hunter2" not in text
    assert clock(3661) == "1:01:01"


def test_lines_without_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    tell = progress_view(console)
    tell("[   1 s] trial 1/2 starts [bold]")
    assert console.file.getvalue() == "[   1 s] trial 1/2 starts [bold]\n"
    assert not isinstance(tell, Audience)
    assert progress_view(console, quiet=True) is None
    assert not isinstance(progress_view(Console(force_terminal=True, _environ={"TERM": "dumb"})), LiveView)


@pytest.fixture
def run():
    brief = bare_brief()
    loop = AskTell(brief, assemble(brief))
    job = SimpleNamespace(name="job", limits=Budget(trials=3), gpus_per_trial=0.0, llm=None)
    named = SimpleNamespace(name="leaves")
    loaded = SimpleNamespace(job=job, model=named, data=named)
    started = loop.ask()
    loop.tell(started.id, 1, {"accuracy": 0.5})
    return loaded, SimpleNamespace(book=loop.book), started


class Drawn(io.StringIO):
    """A file that tells when something was written into it."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted, self.seen = wanted, threading.Event()

    def write(self, text):
        done = super().write(text)
        if self.wanted in self.getvalue():
            self.seen.set()
        return done

    def isatty(self):
        return True


def test_it_draws_while_the_run_goes_on_and_leaves_lines_behind(run):
    loaded, searcher, started = run
    file = Drawn("decided so")
    console = Console(file=file, force_terminal=True, width=100, height=30)
    tell = progress_view(console)
    assert isinstance(tell, LiveView)
    out, threads = sys.stdout, threading.active_count()
    with watched(tell, loaded, searcher):
        tell("[    1 s] trial 1/3 starts")
        tell("[    2 s] WARNING: the model is out")
        searcher.book.record(Decision(started.id, "pause", "decided so", "rungs", 1))
        assert file.seen.wait(30)
    assert sys.stdout is out
    assert threading.active_count() == threads
    text = file.getvalue()
    assert "accuracy 0.5000" in text
    assert "pause of trial 1 at step 1 by rungs: decided so" in text
    assert "WARNING: the model is out" in text
    assert text.index("\x1b[?25l") < text.index("\x1b[?25h")  # the cursor is back
    tell("scoring the best checkpoint")
    assert file.getvalue().endswith("scoring the best checkpoint\n")


def test_one_run_after_the_other_is_drawn(run):
    loaded, searcher, started = run
    file = Drawn("0.5000")
    tell = LiveView(Console(file=file, force_terminal=True, width=100, height=30))
    for step, wanted in enumerate(("0.5000", "0.6000", "0.7000"), 1):
        searcher.book.record(ResultReported(started.id, Observation(step, {"accuracy": float(wanted)}, 1.0)))
        file.wanted = wanted
        file.seen.clear()
        with watched(tell, loaded, searcher):
            assert file.seen.wait(30)


def test_an_interrupted_run_gives_the_terminal_back(run):
    loaded, searcher, _ = run
    console = Console(file=Drawn("x"), force_terminal=True, width=80, height=20)
    tell = LiveView(console)
    with pytest.raises(KeyboardInterrupt), watched(tell, loaded, searcher):
        raise KeyboardInterrupt
    assert not [t for t in threading.enumerate() if t.name == "live-view"]


def test_logs_of_others_pass_above_and_their_handlers_come_back(run):
    loaded, searcher, _ = run
    handler = logging.StreamHandler(sys.__stderr__)
    logger = logging.getLogger("somebody")
    logger.addHandler(handler)
    try:
        file = Drawn("accuracy 0.5000")
        with watched(LiveView(Console(file=file, force_terminal=True, width=80, height=20)), loaded, searcher):
            assert file.seen.wait(30)
            assert handler.stream is not sys.__stderr__
        assert handler.stream is sys.__stderr__
    finally:
        logger.removeHandler(handler)
