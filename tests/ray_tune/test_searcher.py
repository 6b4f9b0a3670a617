"""`LLMSearch` called as Ray calls it, without a cluster."""

from __future__ import annotations

import math
import os
import pickle
import time

import numpy as np
import pytest
from ray import tune
from ray.tune.search import Searcher

from automl_gpt_ray.errors import InputError, JobError, LLMUnavailable
from automl_gpt_ray.events import RunResumed
from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.feedback_file import give
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import TrialState
from automl_gpt_ray.steering_rule import SteeringRule

SPACE = {"lr": tune.loguniform(1e-4, 1e-1), "opt": {"name": tune.choice(["sgd", "adam"])}, "epochs": 5}
DEFAULT = {"lr": 0.01, "opt": {"name": "adam"}}


@pytest.fixture
def search(tmp_path):
    made = LLMSearch(default=DEFAULT, max_steps=5, journal=tmp_path)
    assert made.set_search_properties("accuracy", "max", SPACE)
    yield made
    made.close()


def suggested(search, trial_id):
    for _ in range(500):
        config = search.suggest(trial_id)
        if config is not None:
            return config
        time.sleep(0.01)
    raise AssertionError("no suggestion within 5 s")


def finish(search, trial_id, value, steps=5):
    for step in range(1, steps + 1):
        result = {"accuracy": value * step / steps, "training_iteration": step, "time_total_s": 1.0 * step}
        search.on_trial_result(trial_id, result)
    search.on_trial_complete(trial_id, {**result, "done": True})


def test_the_default_comes_first_nested_as_the_tuner_gave_it(search):
    assert search.suggest("a") == {**DEFAULT, "epochs": 5}
    second = suggested(search, "b")
    assert second != {**DEFAULT, "epochs": 5}
    assert second["opt"]["name"] in ("sgd", "adam")
    assert 1e-4 <= second["lr"] <= 1e-1


def test_trials_differ_and_suggest_does_not_wait(search):
    seen, slowest = [], 0.0
    for number in range(25):
        config = suggested(search, f"t{number}")
        assert config not in seen
        seen.append(config)
        finish(search, f"t{number}", -abs(math.log10(config["lr"]) + 2))
        began = time.monotonic()
        search.suggest(f"extra-{number}")
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 0.25


def test_a_silent_model_delays_nothing(tmp_path):
    class Silent:
        def complete(self, prompt, schema=None):
            time.sleep(30)
            raise LLMUnavailable("no answer")

    search = LLMSearch(Silent(), default=DEFAULT, max_steps=5, journal=tmp_path)
    search.set_search_properties("accuracy", "max", SPACE)
    began = time.monotonic()
    for number in range(4):
        suggested(search, f"t{number}")
    assert time.monotonic() - began < 5
    assert {t.proposal.source for t in search.book.history().trials} <= {"default", "classical", "local", "random"}
    search.close()


def test_a_trial_that_returned_is_completed_and_one_ended_by_a_scheduler_is_stopped(search):
    for name in "abc":
        suggested(search, name)
    finish(search, "a", 0.9)
    search.on_trial_result("b", {"accuracy": 0.1, "training_iteration": 1})
    search.on_trial_complete("b", {"accuracy": 0.2, "training_iteration": 2, "done": True})
    search.on_trial_result("c", {"accuracy": 0.3, "training_iteration": 1})
    search.on_trial_complete("c", {"accuracy": 0.4, "training_iteration": 5, "done": True})
    states = {t.id: t.state for t in search.book.history().trials}
    assert states == {"a": TrialState.COMPLETED, "b": TrialState.STOPPED, "c": TrialState.COMPLETED}
    # Ray never shows a searcher the result at which a scheduler stops a trial; it must not be lost.
    assert search.book.trial("b").curve("accuracy") == ((1, 0.1), (2, 0.2))


def test_failures_have_a_class(search):
    suggested(search, "a")
    suggested(search, "b")
    search.on_trial_result("a", {"accuracy": math.nan, "training_iteration": 1})
    search.on_trial_complete("a", error=True)
    search.on_trial_complete("b", error=True)
    assert [t.failure for t in search.book.history().trials] == ["nan", "error"]


def test_it_survives_pickling_with_and_without_a_running_book(search):
    copy = pickle.loads(pickle.dumps(search))
    assert copy.suggest("elsewhere") == {**DEFAULT, "epochs": 5}
    copy.close()


def test_restore_rebuilds_the_run_from_the_journal(search, tmp_path):
    for number in range(3):
        suggested(search, f"t{number}")
        finish(search, f"t{number}", 0.5 + number / 10)
    state = tmp_path / "searcher-state.pkl"
    search.save(str(state))
    copy = pickle.loads(pickle.dumps(search))
    history = search.book.history()
    search.close()
    copy.restore(str(state))
    assert copy.book.history().trials == history.trials
    assert suggested(copy, "t3") not in [dict(t.config) for t in history.trials]
    copy.close()


@pytest.mark.parametrize("links", [True, False])
def test_restore_falls_back_on_the_journal_in_the_snapshot(search, tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(OSError("another disk")))
    suggested(search, "t0")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for _ in range(3):  # as Ray does, under a new temporary name each time
        search.save_to_dir(str(folder), "session")
    assert len([path for path in folder.iterdir() if "journal" in path.name]) == 1
    finish(search, "t0", 0.5)
    search.save_to_dir(str(folder), "session")
    copy = pickle.loads(pickle.dumps(search))
    search.close()
    search.book_path.unlink()
    copy.restore_from_dir(str(folder))
    assert [(t.id, t.state) for t in copy.book.history().trials] == [("t0", TrialState.COMPLETED)]
    copy.close()


@pytest.mark.parametrize("steered", [False, True])
def test_a_folder_with_a_run_in_it_is_refused_unless_that_is_taken_up(tmp_path, steered):
    def begun():
        made = LLMSearch(journal=tmp_path, max_steps=3)
        made.set_search_properties("loss", "min", {"a": tune.uniform(0, 1)}, num_samples=4)
        if steered:
            made.share(SteeringRule(audit=0.0))
        return made

    search = begun()
    suggested(search, "t0")
    search.close()
    suggested(search, "t1")  # the same searcher, which only rested
    search.close()
    again = begun()
    with pytest.raises(JobError, match="`journal`: must hold no run yet"):  # its trials would be waited for
        again.suggest("t2")
    again.reconcile({})
    assert suggested(again, "t2")["a"] >= 0
    again.close()


@pytest.mark.parametrize("steered", [False, True])
def test_a_tiny_space_ends_the_run(tmp_path, steered):
    search = LLMSearch(journal=tmp_path, max_steps=3 if steered else None)
    search.set_search_properties("loss", "min", {"a": tune.choice([1, 2]), "b": tune.choice(["x", "y"])})
    if steered:  # a steered run waits for proposals, and here none comes any more
        search.share(SteeringRule(audit=0.0))
    configs = []
    for number in range(40):
        config = suggested(search, f"t{number}")
        if config == Searcher.FINISHED:
            break
        configs.append(config)
        finish(search, f"t{number}", 1.0)
    assert sorted((c["a"], c["b"]) for c in configs) == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    decision = [e.event for e in read_journal(search.book_path) if e.event.kind == "decision"]
    assert decision[-1].reason == "every configuration of the search space was tried"
    search.close()


def test_the_time_budget_ends_the_run_even_if_ray_does_not_ask(tmp_path):
    search = LLMSearch(journal=tmp_path)
    search.set_search_properties("loss", "min", {"a": tune.uniform(0, 1)}, time_budget_s=0.01)
    suggested(search, "t0")
    time.sleep(0.02)
    assert search.suggest("t1") == Searcher.FINISHED
    assert "time budget of 0.01 s" in search.limits.ended_by
    search.close()


def test_it_begins_no_more_trials_than_the_run_has_whatever_ray_counts(tmp_path):
    search = LLMSearch(default=DEFAULT, max_steps=5, journal=tmp_path)
    search.set_search_properties("accuracy", "max", SPACE, num_samples=3)
    for name in "ab":
        suggested(search, name)
    search.set_search_properties("accuracy", "max", SPACE, num_samples=1)  # so does Ray after a restore
    search.close()
    search.reconcile({"a": True})  # Ray never heard of `b`: it has not begun
    assert suggested(search, "c") != Searcher.FINISHED
    assert suggested(search, "d") != Searcher.FINISHED
    assert suggested(search, "e") == Searcher.FINISHED
    assert [t.id for t in search.book.history().trials] == ["a", "c", "d"]
    assert search.limits.ending().reason == "all 3 trials were run"
    search.close()


def test_everything_is_journalled_before_it_is_acted_on(tmp_path):
    replies = ['{"proposals": [{"reason": "r", "hyperparameters": {"lr": 0.02, "opt/name": "sgd"}}]}']
    search = LLMSearch(Scripted(replies), default=DEFAULT, max_steps=5, journal=tmp_path)
    search.set_search_properties("accuracy", "max", SPACE)
    for number in range(6):
        suggested(search, f"t{number}")
        finish(search, f"t{number}", 0.5)
        time.sleep(0.05)
    kinds = [entry.event.kind for entry in read_journal(search.book_path)]
    assert kinds[0] == "run_started"
    assert kinds.index("prompt") < kinds.index("reply") < len(kinds)
    started = {
        e.event.trial: e.event.proposal for e in read_journal(search.book_path) if e.event.kind == "trial_started"
    }
    assert len(started) == 6
    assert "language" in {p.source for p in started.values()}
    search.close()


@pytest.mark.parametrize(
    ("space", "field"),
    [
        ({"lr": tune.grid_search([1, 2])}, "lr"),
        ({"lr": tune.sample_from(lambda _: 1)}, "lr"),
    ],
)
def test_spaces_it_cannot_search_are_refused_by_name(space, field, tmp_path):
    with pytest.raises(InputError) as error:
        LLMSearch(journal=tmp_path).set_search_properties("loss", "min", space)
    assert error.value.problems[0].field == field
    assert error.value.problems[0].remedy


def test_a_metric_without_a_direction_is_not_guessed_to_be_the_larger_the_better(tmp_path):
    for number, (metric, mode) in enumerate([(None, None), ("accuracy", "max")]):
        search = LLMSearch(metric="loss", journal=tmp_path / str(number))
        search.set_search_properties(metric, mode, {"a": tune.uniform(0, 1)})
        with pytest.raises(InputError, match="`mode`: must be known before the first trial"):
            search.suggest("t0")
    search.set_search_properties("loss", "min", {})
    assert search.brief.objective.mode == "min"


def test_numbers_in_arrays_without_dimensions_are_metrics(search):
    suggested(search, "a")
    told = {"accuracy": np.array(0.5), "each": np.array([1.0, 2.0]), "name": np.str_("x"), "huge": 10**400, "ok": True}
    search.on_trial_result("a", {**told, "training_iteration": 1})
    assert search.book.trial("a").observations[0].metrics == {"accuracy": 0.5}


def test_keys_that_are_no_texts_are_no_metrics(search):
    suggested(search, "a")
    search.on_trial_result("a", {"accuracy": 0.5, 7: 0.2, "training_iteration": 1})
    assert search.book.trial("a").observations[0].metrics == {"accuracy": 0.5}


def test_without_a_metric_it_says_what_is_missing(tmp_path):
    search = LLMSearch(journal=tmp_path)
    search.set_search_properties(None, None, {"a": tune.uniform(0, 1)})
    with pytest.raises(InputError, match="`metric`: must be known before the first trial"):
        search.suggest("t0")


def test_what_was_said_while_nobody_drove_the_run_binds_the_first_proposals_too(search, monkeypatch):
    for name in "abc":
        suggested(search, name)
        finish(search, name, 0.5)
    while not search.book.queued():
        time.sleep(0.01)
    search.close()
    give(search.book_path.parent, Feedback("", "small steps", {}, {"lr": (0.001, 0.00101)}))
    monkeypatch.setattr("automl_gpt_ray.listening.POLL_S", 60.0)
    for name in "de":
        assert 0.001 <= suggested(search, name)["lr"] <= 0.00101
    assert len(search.book.feedback) == 1


def test_one_driver_resumes_a_run_once(search, tmp_path):
    suggested(search, "a")
    state = tmp_path / "searcher-state.pkl"
    search.save(str(state))
    search.close()
    assert [trial.id for trial in search.book.history().trials] == ["a"]
    search.restore(str(state))  # as Ray does, of a searcher whose book was looked into
    suggested(search, "b")
    assert sum(isinstance(entry.event, RunResumed) for entry in read_journal(search.book_path)) == 1
