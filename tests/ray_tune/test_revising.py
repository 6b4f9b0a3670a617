"""Trials revised while they train, in real Ray: what they were trained with is what the journal says."""

from __future__ import annotations

import json

import pytest
from ray import tune
from trainables import exploding, revisable, unhurried

from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.lineage import Origin, Revision, RevisionApplied, RevisionAsked, RevisionRolledBack
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import TrialState
from automl_gpt_ray.revision import RevisionRule, ask
from automl_gpt_ray.steering_rule import SteeringRule

pytestmark = pytest.mark.ray
STEPS = 12
SPACE = {"opt": {"lr": tune.loguniform(1e-3, 1.0)}, "batch": tune.choice([16, 32])}
DEFAULT = {"opt": {"lr": 0.1}, "batch": 16}
RULE = RevisionRule(hot=("opt/lr",), clone=("batch",), patience=3)


class AsksAll(tune.Callback):
    """Asks for a change of every trial at every turn."""

    def __init__(self, search):
        self.search, self.found = search, []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        book = self.search.book
        known = book.trial(trial.trial_id)
        back = 2 if result["step"] in (6, 7) else None
        changes = {"opt/lr": known.config["opt/lr"] * (1.1 if len(self.found) % 2 else 0.9)}
        told = {"reason": "to see", "by": "test", "back_to": back}
        rule = RevisionRule(hot=("opt/lr",), cooldown=2, most=4)
        found = ask(book, trial.trial_id, changes, self.search.brief.space, rule, **told)
        self.found += [found] if isinstance(found, Revision) else []


class Asks(tune.Callback):
    """Asks for one change of the first trial once it has reported a step."""

    def __init__(self, search, step, changes, rule=RULE, **options):
        self.search, self.step, self.changes, self.rule, self.options = search, step, changes, rule, options
        self.found = None

    def on_trial_result(self, iteration, trials, trial, result, **info):
        book = self.search.book
        if self.found is None and trial.trial_id == book.history().trials[0].id and result["step"] >= self.step:
            told = {"reason": "to see", "by": "test", **self.options}
            self.found = ask(book, trial.trial_id, self.changes, self.search.brief.space, self.rule, **told)


def fit(folder, trainable, step, changes, samples=1, space=(), failures=0, keep=None, **options):
    search = LLMSearch(default=DEFAULT, max_steps=STEPS, step_key="step", journal=folder / "run")
    steering = SteeringRule(audit=0.0, revise=RULE, grace=STEPS)
    asks = Asks(search, step, changes, **options)
    grid = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={**SPACE, **dict(space)},
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=samples,
            search_alg=search,
            scheduler=ReviewScheduler(search, slots=1, rule=steering, time_attr="step"),
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            name="exp",
            verbose=0,
            callbacks=[asks],
            failure_config=tune.FailureConfig(max_failures=failures),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=keep),
        ),
    ).fit()
    assert isinstance(asks.found, Revision), asks.found
    assert not grid.errors
    return search, grid


def events(search, kind):
    return [entry.event for entry in read_journal(search.book_path) if isinstance(entry.event, kind)]


def check_schedule(trial):
    """What each step says it was trained with is what the lineage says."""
    for seen in trial.observations:
        assert seen.metrics["rate"] == trial.lineage.config(trial.proposal.config, seen.step)["opt/lr"], seen.step
    assert [seen.step for seen in trial.observations] == list(range(trial.observations[0].step, trial.last_step + 1))


def test_a_hot_value_changes_in_place(local_ray, tmp_path):
    search, grid = fit(tmp_path, revisable, 3, {"opt/lr": 0.4})
    (trial,) = search.book.history().trials
    (applied,) = events(search, RevisionApplied)
    assert (applied.step, applied.config["opt/lr"], applied.restart) == (5, 0.4, None)
    check_schedule(trial)
    assert trial.state is TrialState.COMPLETED
    assert {o.metrics["began"] for o in trial.observations} == {0}, "it never stopped"
    assert grid[0].config["opt"]["lr"] == 0.4, "the table of results tells what is in force"
    rows = grid[0].metrics_dataframe
    assert dict(zip(rows["step"], rows["config/opt/lr"], strict=True)) == dict(
        zip(rows["step"], rows["rate"], strict=True)
    )
    folder = next((tmp_path / "exp").glob(f"*{trial.id}*"))
    assert json.loads((folder / "params.json").read_text())["opt"]["lr"] == 0.4
    assert json.loads((folder / "revisions.json").read_text()) == [{"from_step": 5, "values": {"opt/lr": 0.4}}]
    search.close()


def test_a_trainable_that_only_reads_is_revised_too(local_ray, tmp_path):
    search, _ = fit(tmp_path, unhurried, 3, {"opt/lr": 0.4})
    (trial,) = search.book.history().trials
    assert trial.lineage.schedule
    assert {seen.metrics["rate"] for seen in trial.observations} == {0.1, 0.4}
    check_schedule(trial)
    search.close()


def test_a_trial_whose_node_died_goes_on_with_the_values_in_force(local_ray, tmp_path):
    search, _ = fit(tmp_path, revisable, 3, {"opt/lr": 0.4}, space={"crash": str(tmp_path / "crashed")}, failures=1)
    (trial,) = search.book.history().trials
    assert (tmp_path / "crashed").exists()
    assert trial.observations[-1].metrics["began"] == 7
    assert trial.observations[-1].metrics["rate"] == 0.4
    check_schedule(trial)
    search.close()


def test_what_makes_it_worse_is_rolled_back_from_the_checkpoint(local_ray, tmp_path):
    search, _ = fit(tmp_path, revisable, 3, {"opt/lr": 0.9})
    (trial,) = search.book.history().trials
    (applied,), (back,) = events(search, RevisionApplied), events(search, RevisionRolledBack)
    assert (applied.step, back.step, back.restart.step) == (5, 7, 4)
    assert back.restart.checkpoint
    assert "before it" in back.reason
    assert trial.lineage.applied[0].outcome == "rolled_back"
    assert trial.lineage.redone == 3
    check_schedule(trial)
    assert {o.metrics["rate"] for o in trial.observations} == {0.1}
    assert [o.metrics["began"] for o in trial.observations] == [0] * 4 + [4] * 8
    assert trial.value(search.book.objective) == pytest.approx(1.2)
    assert trial.state is TrialState.COMPLETED
    search.close()


def test_a_trial_sent_back_begins_at_its_checkpoint(local_ray, tmp_path):
    search, _ = fit(tmp_path, revisable, 5, {"opt/lr": 0.4}, back_to=2)
    (trial,) = search.book.history().trials
    (applied,) = events(search, RevisionApplied)
    assert (applied.step, applied.restart.step) == (3, 2)
    check_schedule(trial)
    assert [o.metrics["began"] for o in trial.observations] == [0] * 2 + [2] * 10
    assert trial.value(search.book.objective) == pytest.approx(0.2 + 10 * 0.4)
    search.close()


def test_a_trial_whose_checkpoint_ray_deletes_meanwhile_begins_anew(local_ray, tmp_path):
    search, _ = fit(tmp_path, revisable, 5, {"opt/lr": 0.4}, keep=1, back_to=5)
    (trial,) = search.book.history().trials
    first, second = events(search, RevisionApplied)
    assert (first.restart.step, second.restart) == (5, Origin(trial.id, 0))
    assert [seen.metrics["began"] for seen in trial.observations] == [0] * 12
    assert trial.lineage.redone == 6
    assert len(trial.lineage.applied) == 1
    check_schedule(trial)
    search.close()


def test_a_structural_change_is_a_clone_from_the_checkpoint(local_ray, tmp_path):
    search, grid = fit(tmp_path, revisable, 4, {"batch": 32}, samples=2)
    parent, child = search.book.history().trials
    assert (parent.state, parent.last_step) == (TrialState.STOPPED, 5)
    assert child.lineage.parent == Origin(parent.id, 5, child.lineage.parent.checkpoint)
    assert [o.step for o in child.observations] == list(range(6, STEPS + 1))
    assert {o.metrics["began"] for o in child.observations} == {5}
    for trial, batch in ((parent, 16), (child, 32)):
        assert {o.metrics["batch"] for o in trial.observations} == {batch}
    assert child.value(search.book.objective) == pytest.approx(1.2), "the parent's progress is its own"
    assert search.limits.used().steps == STEPS
    assert len(grid) == 2
    assert len(events(search, RevisionAsked)) == 1
    search.close()


def test_a_trial_that_reports_nan_goes_back_before_it_fails(local_ray, tmp_path):
    search = LLMSearch(
        default={"opt": {"lr": 0.9}, "batch": 16}, max_steps=6, step_key="step", journal=tmp_path / "run"
    )
    steering = SteeringRule(audit=0.0, grace=6, revise=RevisionRule(hot=("opt/lr",), rules=True))
    grid = tune.Tuner(
        tune.with_resources(exploding, {"cpu": 1}),
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=1,
            search_alg=search,
            scheduler=ReviewScheduler(search, slots=1, rule=steering, time_attr="step"),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="exp", verbose=0),
    ).fit()
    assert not grid.errors
    (trial,) = search.book.history().trials
    assert trial.state is TrialState.COMPLETED
    assert "score is nan" in trial.lineage.applied[0].revision.reason
    assert [seen.metrics["began"] for seen in trial.observations] == [0, 0, 2, 2, 2, 2]
    assert trial.value(search.book.objective) == pytest.approx(1.8 + 4 * 0.09)
    check_schedule(trial)
    search.close()


def test_trials_that_freeze_thaw_and_change_were_trained_with_what_the_journal_says(local_ray, tmp_path):
    search = LLMSearch(max_steps=STEPS, step_key="step", journal=tmp_path / "run")
    steering = SteeringRule(forecasts="trusted", audit=0.0, revise=RevisionRule(hot=("opt/lr",), patience=2))
    asks = AsksAll(search)
    grid = tune.Tuner(
        tune.with_resources(revisable, {"cpu": 1}),
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=8,
            search_alg=search,
            scheduler=ReviewScheduler(search, rule=steering, time_attr="step"),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="exp", verbose=0, callbacks=[asks]),
    ).fit()
    assert not grid.errors
    history = search.book.history()
    assert all(trial.state.ended for trial in history.trials)
    assert any(d.action == "pause" for d in search.book.decisions)
    assert len(asks.found) > 8
    assert sum(len(trial.lineage.applied) for trial in history.trials) > 8
    assert any(trial.lineage.redone for trial in history.trials)
    for trial in history.trials:
        check_schedule(trial)
    search.close()
