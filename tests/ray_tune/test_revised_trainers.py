"""Built-in trainers revised in real Ray: each step is exactly what the same change gives outside of Ray."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import ray
import xgboost
from ray import tune
from test_revising import Asks
from training.small import task_of

from automl_gpt_ray.cards import load_data_card, load_model_card
from automl_gpt_ray.config import Resources
from automl_gpt_ray.lineage import Revision
from automl_gpt_ray.live import Notice, board_name, live
from automl_gpt_ray.ray_tune.board import Board
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.ray_tune.trial import bind
from automl_gpt_ray.revision import RevisionRule
from automl_gpt_ray.steering_rule import SteeringRule
from automl_gpt_ray.training import image_classification, tabular

pytestmark = pytest.mark.ray
CARDS = Path(__file__).resolve().parents[2] / "configs" / "cards"
STEPS = 5
ONE = Resources(cpu=1)
BOUNDLESS = {"cooldown": 1, "patience": 9}


class AsksAndWaits(Asks):
    """Holds the trial back from then on: it looks for changes ever so often, and its steps take milliseconds."""

    def on_trial_result(self, iteration, trials, trial, result, **info):
        super().on_trial_result(iteration, trials, trial, result, **info)
        if self.found is not None:
            time.sleep(0.5)


def revised(folder, model, data, trainer, changes, samples=1, resources=ONE):
    card = load_model_card(CARDS / "models" / f"{model}.yaml")
    task = task_of(load_data_card(CARDS / "data" / f"{data}.yaml"), "accuracy", max_steps=STEPS)
    rule = RevisionRule(hot=tuple(card.hot), clone=tuple(card.clone), factor=100.0, share=1.0, **BOUNDLESS)
    search = LLMSearch(
        model_card=card, data_card=task.data, metric="accuracy", mode="max", max_steps=STEPS, journal=folder / "run"
    )
    steering = SteeringRule(audit=0.0, grace=STEPS, revise=rule)
    asks = AsksAndWaits(search, 2, changes, rule=rule)
    grid = tune.Tuner(
        bind(trainer.train, task, resources),
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            num_samples=samples,
            search_alg=search,
            scheduler=ReviewScheduler(search, slots=1, rule=steering, time_attr="step"),
        ),
        run_config=tune.RunConfig(storage_path=str(folder), name="exp", verbose=0, callbacks=[asks]),
    ).fit()
    assert not grid.errors
    assert isinstance(asks.found, Revision), asks.found
    trials = search.book.history().trials
    search.close()
    return trials, task, grid[0]


def plain(trainer, trial, task):
    """The metrics of the same schedule, without Ray."""
    config, curve = dict(trial.proposal.config), []
    for step in trainer.fit(config, task):
        curve.append({name: value for name, value in step.metrics.items() if name not in ("seconds", "step")})
        config.update(trial.lineage.config(trial.proposal.config, len(curve) + 1))
    return curve


def check_steps(trainer, trial, task):
    ((first, _),) = trial.lineage.schedule
    assert first in (4, 5)
    curve = plain(trainer, trial, task)
    for seen, expected in zip(trial.observations, curve, strict=True):
        assert {name: seen.metrics[name] for name in expected} == pytest.approx(expected), seen.step
    unrevised = [dict(step.metrics)["log_loss"] for step in trainer.fit(dict(trial.proposal.config), task)]
    really = [seen.metrics["log_loss"] for seen in trial.observations]
    assert really[: first - 1] == pytest.approx(unrevised[: first - 1])
    assert really[first - 1] != pytest.approx(unrevised[first - 1])
    return first


def test_a_booster_grows_with_the_eta_in_force(local_ray, tmp_path):
    (trial,), task, result = revised(tmp_path, "xgboost", "iris", tabular, {"eta": 0.02, "lambda": 30.0})
    before = check_steps(tabular, trial, task) - 1
    booster = xgboost.Booster(model_file=Path(result.checkpoint.path) / "model.ubj")
    leaves = (
        booster.trees_to_dataframe().query("Feature == 'Leaf'").groupby("Tree")["Gain"].apply(lambda g: g.abs().max())
    )
    each = len(leaves) // STEPS
    assert leaves[: before * each].max() > 0.1
    assert leaves[before * each :].max() < 0.02


def test_a_network_learns_with_the_rate_in_force(local_ray, tmp_path):
    changes = {"learning_rate": 1e-4, "weight_decay": 0.1, "dropout": 0.5}
    (trial,), task, _ = revised(tmp_path, "small_cnn", "digits", image_classification, changes)
    check_steps(image_classification, trial, task)


def test_a_clone_goes_on_with_another_batch_size(local_ray, tmp_path):
    changes = {"batch_size": 256}
    (parent, child), task, _ = revised(tmp_path, "small_cnn", "digits", image_classification, changes, samples=2)
    assert (parent.last_step, [seen.step for seen in child.observations]) == (3, [4, 5])
    step = list(zip(range(3), image_classification.fit(dict(parent.proposal.config), task), strict=False))[-1][1]
    (tmp_path / "three").mkdir()
    step.save(tmp_path / "three")
    config = {**parent.proposal.config, **changes}
    for seen, expected in zip(
        child.observations, image_classification.fit(config, task, tmp_path / "three"), strict=True
    ):
        told = {name: value for name, value in expected.metrics.items() if name not in ("seconds", "step")}
        assert {name: seen.metrics[name] for name in told} == pytest.approx(told), seen.step


def answered(board, version):
    """Wait until the board has said that `version` was taken: what was posted before it asked is up then."""
    give_up = time.monotonic() + 120
    while board.taken("t") != version:
        assert time.monotonic() < give_up, "the board does not answer"


def test_a_board_that_died_is_replaced(local_ray, tmp_path):
    name = tmp_path.name  # of this try: a board outlives a test that failed
    board = Board(name)
    board.post("t", Notice(1, {"lr": 0.5}))
    answered(board, 0)

    @ray.remote
    def take():
        hp = live({"lr": 0.1})
        hp._trial, hp._board = "t", board_name(name)
        return hp.refresh(), dict(hp)

    assert ray.get(take.remote()) == (True, {"lr": 0.5})
    answered(board, 1)
    ray.kill(board._actor)
    answered(board, 0)  # of the board in its place, which nobody has asked
    assert ray.get(take.remote()) == (True, {"lr": 0.5}), "what was posted is up again"
