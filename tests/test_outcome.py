"""The outcome: what a run came to, saved and read back as it was."""

from __future__ import annotations

import errno
import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console
from small_runs import PLAIN, proposed

from automl_gpt_ray.book import Book
from automl_gpt_ray.budget import Budget, Used
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import (
    CallFailed,
    CheckpointSaved,
    Decision,
    PromptSent,
    ReplyReceived,
    ResultReported,
    RunStarted,
    TrialEnded,
    TrialStarted,
)
from automl_gpt_ray.limits import measured
from automl_gpt_ray.outcome import load_outcome, summarise
from automl_gpt_ray.ray_tune.finish import best_checkpoint
from automl_gpt_ray.ray_tune.run_place import place_of
from automl_gpt_ray.records import LogPoint, Observation, PredictedLog, TrialState, Usage
from automl_gpt_ray.terminal import show_outcome

LOG = PredictedLog("accuracy", (LogPoint(1, 0.5, -math.inf, math.inf), LogPoint(2, 0.6, 0.5, 0.7)), "language")


def a_book(mode="max"):
    book = Book()
    book.record(RunStarted("accuracy", mode, 4, 0, PLAIN.default))
    return book


def run(book, trial, values, state=TrialState.COMPLETED, failure=None, source="classical", **extra):
    book.record(TrialStarted(trial, proposed({**PLAIN.default, "depth": int(trial[1:])}, trial, source, log=LOG)))
    for step, value in enumerate(values, 1):
        book.record(ResultReported(trial, Observation(step, {"accuracy": value, **extra}, 2.0 * step)))
    if state.ended:
        book.record(TrialEnded(trial, state, failure))


def of(book, tmp_path, **arguments):
    given = {"name": "x", "run_dir": tmp_path, "wall_seconds": 9.0, "ended_by": "time", "journal": tmp_path / "j"}
    return summarise(book, **{**given, **arguments})


def full(tmp_path):
    book = a_book()
    run(book, "t1", [0.5, 0.7, 0.6], source="default", train_loss=math.nan)
    run(book, "t2", [0.4], TrialState.STOPPED)
    run(book, "t3", [], TrialState.FAILED, "oom")
    run(book, "t4", [math.nan, 0.1], TrialState.RUNNING)
    run(book, "t5", [], TrialState.FAILED)
    book.record(ReplyReceived("c", "{}", "m", Usage(10, 5), 0.5, "stop"))
    book.record(CallFailed("c", "x", "y"))
    book.record(Decision("run", "outage", "the model is down", "x"))
    book.record(Decision("t2", "stop", "too slow", "x"))
    return of(book, tmp_path, test={"accuracy": 0.65, "loss": math.inf}, checkpoint="c")


def test_what_is_counted(tmp_path):
    outcome = full(tmp_path)
    assert (outcome.best_trial, outcome.best_step, outcome.best_source) == ("t1", 2, "default")
    assert outcome.best_config == {**PLAIN.default, "depth": 1}
    assert outcome.validation["accuracy"] == 0.7
    assert outcome.real_log == ((1, 0.5), (2, 0.7), (3, 0.6))
    assert outcome.predicted_log == LOG
    counts = {"total": 5, "running": 1, "paused": 0, "completed": 1, "stopped": 1, "failed": 2}
    assert outcome.trials == counts
    assert outcome.sources == {"default": 1, "classical": 4}
    assert outcome.failures == {"oom": 1, "error": 1}
    assert (outcome.steps, outcome.train_seconds) == (6, 12.0)
    assert (outcome.llm_calls, outcome.llm_failures, outcome.prompt_tokens) == (1, 1, 10)
    assert outcome.warnings == ("the model is down",)


def test_it_is_read_back_as_it_was_saved(tmp_path):
    outcome = full(tmp_path)
    path = outcome.save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    again = load_outcome(tmp_path)
    assert repr(again) == repr(outcome)  # NaN is not equal to itself
    assert math.isnan(again.validation["train_loss"])
    assert again.test["loss"] == math.inf
    assert again.predicted_log.points[0].low == -math.inf
    text = path.read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert '"train_loss": "NaN"' in text


def test_budgets_and_failures_are_told(tmp_path):
    book = a_book()
    run(book, "t1", [0.5, 0.7])
    for action in ("outage", "recovered", "budget", "fail", "finish", "stop"):
        book.record(Decision("run", action, f"it is an event of {action}", "x"))
    used = Used(trials=1, steps=2, tokens=50, money=0.25)
    outcome = of(book, tmp_path, failed=True, budget=Budget(tokens=60, steps=9), used=used)
    assert outcome.failed
    assert outcome.budget == {"steps": 9, "tokens": 60}
    assert outcome.used["money"] == 0.25
    assert [w.split()[-1] for w in outcome.warnings] == ["outage", "recovered", "budget", "fail"]
    outcome.save(tmp_path)
    assert load_outcome(tmp_path) == outcome
    assert "budget: 50 of 60 tokens" in printed(outcome)
    assert "money" not in of(book, tmp_path, used=Used()).used


def test_saving_again_replaces(tmp_path):
    full(tmp_path).save(tmp_path)
    of(a_book(), tmp_path).save(tmp_path)
    assert load_outcome(tmp_path).best_trial is None


def asked(book, call):
    book.record(PromptSent(call, "propose", 1, ()))


def test_a_model_that_was_asked_and_never_answered_is_told(tmp_path):
    book = a_book()
    run(book, "t1", [0.5])
    assert of(book, tmp_path).warnings == ()
    asked(book, "a")
    asked(book, "b")
    book.record(CallFailed("b", "LLMUnavailable", "interrupted while waiting to try again"))
    (told,) = of(book, tmp_path).warnings
    assert "the language model was asked 2 times and did not answer" in told
    assert "WARNING: the language model was asked" in " ".join(printed(of(book, tmp_path)).split())
    book.record(Decision("run", "outage", "the model is down", "x"))
    assert of(book, tmp_path).warnings == ("the model is down",)


def test_a_model_that_answered_once_is_not_called_silent(tmp_path):
    book = a_book()
    asked(book, "a")
    book.record(ReplyReceived("a", "{}", "m", Usage(10, 5), 0.5, "stop"))
    asked(book, "b")
    assert of(book, tmp_path).warnings == ()


def test_a_full_disk_is_told_with_what_to_do(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    outcome = of(a_book(), tmp_path)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(JobError, match="No space left on device") as told:
        outcome.save(tmp_path)
    assert str(tmp_path / "outcome.json") in str(told.value)
    assert f"Free some room and resume: `automl-gpt-ray run --resume {tmp_path}`" in str(told.value)


@pytest.mark.parametrize("values", [[], [math.nan, math.inf]])
def test_no_best_trial(tmp_path, values):
    book = a_book()
    run(book, "t1", values)
    outcome = of(book, tmp_path, test_note="nothing to score")
    assert outcome.best_trial is outcome.best_config is outcome.validation is outcome.predicted_log is None
    assert outcome.real_log == ()
    outcome.save(tmp_path)
    assert load_outcome(tmp_path) == outcome


def test_the_smallest_is_best_where_less_is_better(tmp_path):
    book = a_book("min")
    run(book, "t1", [0.5, 0.2, 0.3])
    run(book, "t2", [0.3])
    outcome = of(book, tmp_path)
    assert (outcome.best_trial, outcome.best_step) == ("t1", 2)


def test_of_equal_steps_the_last_is_told_whose_checkpoint_is_the_one_kept(tmp_path):
    book = a_book()
    book.record(TrialStarted("t1", proposed(PLAIN.default, "t1", "default")))
    for step, value in enumerate([0.5, 0.7, 0.7, 0.6], 1):
        seen = Observation(step, {"accuracy": value, "log_loss": 1.0 / step, "latency_ms": float(step)}, 2.0 * step)
        book.record(ResultReported("t1", seen))
        (tmp_path / str(step)).mkdir()
        book.record(CheckpointSaved("t1", step, str(tmp_path / str(step))))
    outcome = of(book, tmp_path)
    assert (outcome.best_step, outcome.validation["log_loss"]) == (3, pytest.approx(1 / 3))
    best = book.history().best
    assert best_checkpoint(book, best, place_of(tmp_path)) == str(tmp_path / "3")
    assert measured(best.observations, "accuracy", 0.7)["log_loss"] == pytest.approx(1 / 3)


def printed(outcome):
    console = Console(record=True, width=200, file=io.StringIO())
    show_outcome(console, outcome)
    return console.export_text()


def test_the_terminal_shows_it_and_reads_no_markup(tmp_path):
    text = printed(full(tmp_path))
    assert "best trial t1, proposed by default" in text
    assert "WARNING: the model is down" in text
    assert "0.7000 inside" in text or "outside" in text
    book = a_book()
    run(book, "t1", [0.5], source="[red]x[/red]", **{"[bold]": 0.5, "[/]": 1.0})
    text = printed(of(book, tmp_path, test_note="[/nonsense]", ended_by="[blink]"))
    for word in ("[red]x[/red]", "[bold]", "[/nonsense]", "[blink]"):
        assert word in text
    assert "No trial reported a value" in printed(of(a_book(), tmp_path))


@pytest.mark.parametrize(("state", "told"), [(TrialState.RUNNING, True), (TrialState.COMPLETED, False)])
def test_a_run_that_was_interrupted_says_how_to_go_on(tmp_path, state, told):
    book = a_book()
    run(book, "t1", [0.5], state)
    assert (f"go on: automl-gpt-ray run --resume {tmp_path}" in printed(of(book, tmp_path))) is told
