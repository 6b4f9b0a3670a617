"""`ReviewScheduler` called as Ray calls it, without a cluster: what Ray's snapshot did not know of yet."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.trainable import wrap_function

from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import TrialEnded, TrialResumed
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler, fitting, free_slots
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import TrialState
from automl_gpt_ray.steering_rule import SteeringRule

STEPS = 20


class Controller:
    """As much of Ray's as a scheduler sees."""

    def __init__(self, search, trials):
        self.search_alg, self.trials = search, trials

    def get_trials(self):
        return self.trials

    def get_live_trials(self):
        return [trial for trial in self.trials if trial.status != Trial.TERMINATED]

    def stop_trial(self, trial):
        trial.status = Trial.TERMINATED
        self.search_alg.on_trial_complete(trial.trial_id)


@pytest.fixture
def search(tmp_path):
    made = LLMSearch(max_steps=STEPS, journal=tmp_path)
    made.set_search_properties("score", "min", {"lr": tune.uniform(0, 1)}, num_samples=4)
    yield made
    made.close()


def result(step, value=0.5):
    return {"score": value, "training_iteration": step, "time_total_s": float(step)}


@pytest.mark.parametrize(("stop", "unit"), [({"training_iteration": 3}, 1), ({"step": 1500}, 500)])
def test_steps_are_counted_in_the_unit_in_which_the_run_limits_them(tmp_path, stop, unit):
    search = LLMSearch(journal=tmp_path)
    search.set_search_properties("score", "min", {"lr": tune.uniform(0, 1)}, stop=stop, num_samples=1)
    scheduler = ReviewScheduler(search, slots=1, rule=SteeringRule(background=False))
    while search.suggest("t0") is None:
        pass
    trial = SimpleNamespace(trial_id="t0", status=Trial.RUNNING, checkpoint="kept")
    controller = Controller(search, [trial])
    scheduler.on_trial_add(controller, trial)
    told = [scheduler.on_trial_result(controller, trial, {**result(n), "step": 500 * n}) for n in (1, 2, 3)]
    assert told == [TrialScheduler.CONTINUE, TrialScheduler.CONTINUE, TrialScheduler.STOP]
    assert [o.step for o in search.book.trial("t0").observations] == [unit, 2 * unit, 3 * unit]
    search.close()


def test_a_length_that_nobody_stated_is_one_clear_error(tmp_path):
    search = LLMSearch(journal=tmp_path)
    search.set_search_properties("score", "min", {"lr": tune.uniform(0, 1)}, stop={"score": 0.1}, num_samples=1)
    ReviewScheduler(search)
    with pytest.raises(JobError, match="`max_steps`: must be known for `ReviewScheduler`") as caught:
        search.suggest("t0")
    assert "stop={'training_iteration': ...}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def restored(search, ended, status):
    """A run whose trials stand as `ended` in the journal (state and step) and as `status` in Ray's snapshot."""
    scheduler = ReviewScheduler(search, slots=2, rule=SteeringRule(grace=2, audit=0.0, background=False))
    trials = []
    for number, (state, step) in enumerate(ended):
        name = f"t{number}"
        search.slots = None
        while search.suggest(name) is None:
            pass
        for at in range(1, step + 1):
            search.on_trial_result(name, result(at, 0.1 * number))
        if state is not TrialState.RUNNING:
            search.book.record(TrialEnded(name, state))
        trials.append(SimpleNamespace(trial_id=name, status=status, checkpoint="kept"))
    search.reconcile(dict.fromkeys((trial.trial_id for trial in trials), False))
    controller = Controller(search, trials)
    for trial in trials:
        scheduler.on_trial_add(controller, trial)
    return scheduler, controller


def test_a_trial_that_had_ended_and_runs_again_is_stopped(search):
    scheduler, controller = restored(search, [(TrialState.STOPPED, 2)] * 4, Trial.RUNNING)
    assert len(search.closed) == 4
    trial = controller.trials[3]
    assert scheduler.on_trial_result(controller, trial, result(2)) == TrialScheduler.STOP
    assert {t.state for t in search.book.history().trials} == {TrialState.STOPPED}


def test_a_trial_that_had_ended_and_waits_again_does_not_keep_the_run_from_its_end(search):
    ended = [(TrialState.COMPLETED, STEPS), *[(TrialState.PAUSED, 2)] * 2, (TrialState.STOPPED, 2)]
    scheduler, controller = restored(search, ended, Trial.PAUSED)
    for _ in range(4):  # the best is trained to its end first
        chosen = scheduler.choose_trial_to_run(controller)
        if chosen is not None:
            chosen.status = Trial.TERMINATED
            search.on_trial_complete(chosen.trial_id, result(STEPS))
    assert {trial.status for trial in controller.trials} == {Trial.TERMINATED}
    assert [t.state for t in search.book.history().trials][::3] == [TrialState.COMPLETED, TrialState.STOPPED]


def test_a_trial_that_ray_could_not_resume_yet_is_given_to_it_again(search):
    scheduler, controller = restored(search, [(TrialState.PAUSED, 2)] * 3, Trial.PAUSED)
    trial = controller.trials[1]
    search.book.record(TrialResumed("t1", "it promises most"))
    # Its old actor is still there: Ray leaves it paused, and tells nobody.
    assert [scheduler.choose_trial_to_run(controller) for _ in range(3)] == [trial] * 3
    trial.status = Trial.RUNNING
    assert scheduler.choose_trial_to_run(controller) is not trial


def test_nobody_waits_for_new_trials_that_ray_does_not_ask_for(search):
    # Of the trials that `Repeater` repeats the book knows every other: the budget never says that it was the last.
    scheduler, controller = restored(search, [(TrialState.PAUSED, 2)] * 3, Trial.PAUSED)
    controller.search_alg = SimpleNamespace(
        searcher=search, is_finished=lambda: True, on_trial_complete=search.on_trial_complete
    )
    for _ in range(3):
        chosen = scheduler.choose_trial_to_run(controller)
        if chosen is not None:
            chosen.status = Trial.TERMINATED
            search.on_trial_complete(chosen.trial_id, result(STEPS))
    assert {trial.status for trial in controller.trials} == {Trial.TERMINATED}


@pytest.mark.parametrize(("status", "state"), [("TERMINATED", TrialState.STOPPED), ("ERROR", TrialState.FAILED)])
def test_a_trial_that_ray_does_not_take_up_again_holds_no_slot(search, status, state):
    under_way = [(TrialState.RUNNING, 2), (TrialState.PAUSED, 2), (TrialState.COMPLETED, STEPS)]
    restored(search, under_way, status)
    assert [trial.state for trial in search.book.history().trials] == [state, state, TrialState.COMPLETED]
    assert free_slots(search) == 2


@pytest.mark.parametrize(("cpus", "slots"), [(0.2, 10), (0.1, 20), (0.4, 5), (0.3, 6), (1.5, 1), (3.0, 1)])
def test_fractions_of_a_resource_cost_no_slot(monkeypatch, cpus, slots):
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
    assert fitting({"CPU": cpus}) == slots


def test_a_scheduler_of_another_searcher_is_one_clear_error(search, tmp_path):
    scheduler = ReviewScheduler(LLMSearch(max_steps=STEPS, journal=tmp_path / "other"))
    trial = SimpleNamespace(trial_id="t0", status=Trial.PENDING, checkpoint=None)
    with pytest.raises(JobError, match="`search_alg`: must be the searcher that the scheduler was given"):
        scheduler.on_trial_add(Controller(search, [trial]), trial)
    ReviewScheduler().on_trial_add(Controller(search, [trial]), trial)  # given none, it only runs what comes


class Forgetful(tune.Trainable):
    def step(self):
        return {"score": 0.5}


class Saving(Forgetful):
    def save_checkpoint(self, checkpoint_dir):
        return None


@pytest.mark.parametrize("trainable", [Forgetful, Saving, lambda config: None])
def test_a_class_that_saves_no_checkpoints_is_refused_before_its_first_pause(search, monkeypatch, trainable):
    scheduler = ReviewScheduler(search, slots=1)
    trial = Trial("made", trial_id="t0", stub=True)
    made = trainable if isinstance(trainable, type) else wrap_function(trainable)
    monkeypatch.setattr(trial, "get_trainable_cls", lambda: made)
    refused = pytest.raises(JobError, match=r"`trainable`: must save checkpoints.*Forgetful.*`save_checkpoint`")
    with refused if trainable is Forgetful else nullcontext():
        scheduler.on_trial_add(Controller(search, [trial]), trial)
