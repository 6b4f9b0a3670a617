"""What LightGBM and scikit-learn train on tables; XGBoost is in `test_tabular`."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from automl_gpt_ray.errors import DataError, SpaceError, TrainingError
from automl_gpt_ray.training import lightgbm_trees, sklearn_models, table_steps, tabular
from training.small import card_of, task_of

SAMPLED = {"rounds_per_step": 3, "bagging_fraction": 0.6, "bagging_freq": 1, "feature_fraction": 0.7, "num_leaves": 5}
PLAIN = {"imputation": "median_indicator", "encoding": "onehot", "scaling": "standard"}
CASES = {
    "lightgbm": (lightgbm_trees, {**SAMPLED, "min_data_in_leaf": 5}),
    "random_forest": (sklearn_models, {"estimator": "random_forest", "encoding": "ordinal", "per_step": 4}),
    "extra_trees": (sklearn_models, {"estimator": "extra_trees", "per_step": 4, **PLAIN}),
    "hist": (sklearn_models, {"estimator": "hist_gradient_boosting", "per_step": 4, "max_features": 0.7}),
    "linear": (sklearn_models, {"estimator": "linear", **PLAIN}),
    "neighbours": (sklearn_models, {"estimator": "neighbours", "n_neighbors": 9, **PLAIN}),
    "network": (sklearn_models, {"estimator": "network", "per_step": 5, "learning_rate_init": 0.01, **PLAIN}),
}


def curve(steps):
    return [{name: value for name, value in step.metrics.items() if name != "seconds"} for step in steps]


def saved(step, folder):
    folder.mkdir()
    step.save(folder)
    return folder


@pytest.mark.parametrize(("trainer", "config"), CASES.values(), ids=CASES)
def test_models_learn_and_go_on_as_if_uninterrupted(table_card, tmp_path, trainer, config):
    task = task_of(table_card)
    whole = list(trainer.fit(config, task))
    assert [step.metrics["step"] for step in whole] == [1, 2, 3, 4]
    assert whole[-1].metrics["roc_auc"] > 0.7
    folder = saved(whole[1], tmp_path / "two") if trainer is sklearn_models else None
    if folder is None:
        steps = trainer.fit(config, task)
        next(steps)
        folder = saved(next(steps), tmp_path / "two")
    assert curve(trainer.fit(config, task, folder)) == curve(whole)[2:]
    found = trainer.evaluate(config, task, saved(whole[-1], tmp_path / "last"), "validation")
    assert found == pytest.approx({name: whole[-1].metrics[name] for name in found})
    assert trainer.evaluate(config, task, str(tmp_path / "last"))["accuracy"] > 0.5


@pytest.mark.parametrize("bins", [{}, {"max_bins": 20}])
def test_histogram_boosting_takes_columns_of_any_number_of_categories(tmp_path, bins):
    rows = "".join(f"c{i % 400},k{i % 3},{('no', 'yes')[i % 2]}\n" for i in range(900))
    (tmp_path / "t.csv").write_text("many,few,label\n" + rows, encoding="utf-8")
    task = task_of(card_of(load={"format": "csv", "path": str(tmp_path / "t.csv")}))
    config = {"estimator": "hist_gradient_boosting", "encoding": "native", "per_step": 2, **bins}
    assert len(list(sklearn_models.fit(config, task))) == 4


@pytest.mark.parametrize(("trainer", "config"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_several_classes_and_targets(trainer, config, name):
    classes = ["setosa", "versicolor", "virginica"] if name == "iris" else []
    card = card_of(
        task="classification" if classes else "regression",
        metric="accuracy" if classes else "rmse",
        label_space={"classes": classes},
        load={"format": "sklearn", "name": name},
    )
    grown = {**config, "rounds_per_step": 20} if trainer is lightgbm_trees else config
    last = list(trainer.fit(grown, task_of(card, card.metric, "max" if classes else "min")))[-1].metrics
    assert last["accuracy"] > 0.8 if classes else math.isfinite(last["rmse"])


@pytest.mark.parametrize(
    ("trainer", "config"),
    [(tabular, {"gamma": 0.1}), (lightgbm_trees, {"lambda_l1": 1.0}), CASES["random_forest"]],
    ids=["xgboost", "lightgbm", "forest"],
)
def test_what_is_learnt_does_not_hang_on_the_unit_of_the_targets(tmp_path, trainer, config):
    rng = np.random.default_rng(0)
    x = rng.normal(size=120)
    found = []
    for unit in (1.0, 1e-9, 1e12):
        pd.DataFrame({"x": x, "label": (2.0 * x + 5.0) * unit}).to_csv(tmp_path / "t.csv", index=False)
        load = {"format": "csv", "path": str(tmp_path / "t.csv")}
        card = card_of(task="regression", metric="rmse", label_space={"column": "label"}, load=load)
        task = task_of(card, "rmse", "min", 2)
        last = list(trainer.fit(config, task))[-1]
        tested = trainer.evaluate(config, task, saved(last, tmp_path / f"{unit:g}"), "validation")
        assert tested["rmse"] == pytest.approx(last.metrics["rmse"])
        found.append((last.metrics["rmse"] / unit, last.metrics["r2"]))
    assert found[0][1] > 0.5
    assert found[1:] == [pytest.approx(found[0], rel=1e-3)] * 2


def test_a_model_trained_on_everything_is_scored_as_that(table_card, tmp_path):
    task = replace(task_of(table_card, max_steps=2), refit=True)
    config = CASES["random_forest"][1]
    last = list(sklearn_models.fit(config, task))[-1]
    found = sklearn_models.evaluate(config, task_of(table_card), saved(last, tmp_path / "last"), "validation")
    assert found["log_loss"] == pytest.approx(last.metrics["log_loss"])


def test_a_hot_change_takes_effect_at_the_next_step(table_card):
    config = dict(CASES["lightgbm"][1])
    steps = lightgbm_trees.fit(config, task_of(table_card))
    first = next(steps)
    config["learning_rate"] = 1e-9
    values = [step["train_log_loss"] for step in curve([first, *steps])]
    assert values[1:] == pytest.approx([values[0]] * 3)


def test_weights_change_what_is_trained(table_card):
    for trainer, config in (CASES["lightgbm"], CASES["random_forest"], CASES["linear"]):
        plain, balanced = (
            next(trainer.fit({**config, **extra}, task_of(table_card))).metrics["log_loss"]
            for extra in ({}, {"class_weighting": "balanced"})
        )
        assert plain != balanced
    assert table_steps.weights({"class_weighting": "balanced"}, np.array([0, 0, 0, 1]), table_card).tolist() == (
        pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    )


@pytest.mark.parametrize(
    ("trainer", "config", "expected"),
    [
        (lightgbm_trees, {"num_leafs": 3}, "num_leaves"),
        (lightgbm_trees, {"rounds_per_step": 0}, "rounds_per_step"),
        (lightgbm_trees, {"class_weighting": "squared"}, "class_weighting"),
        (sklearn_models, {"estimator": "forest"}, "must be one of random_forest"),
        (sklearn_models, {"estimator": "os.system"}, "estimator"),
        (sklearn_models, {"estimator": "linear", "n_jobs": 8}, "n_jobs"),
        (sklearn_models, {"estimator": "linear", "encoding": "onehot"}, "takes no missing values"),
    ],
)
def test_what_would_not_be_obeyed_is_refused(table_card, trainer, config, expected):
    with pytest.raises(SpaceError, match=expected):
        next(trainer.fit(config, task_of(table_card)))


def test_what_the_libraries_refuse_is_a_training_error(table_card, tmp_path):
    with pytest.raises(TrainingError, match="LightGBM gave up"):
        next(lightgbm_trees.fit({"bagging_fraction": 7.0}, task_of(table_card)))
    with pytest.raises(TrainingError, match="scikit-learn gave up"):
        next(sklearn_models.fit({"estimator": "random_forest", "max_features": "many"}, task_of(table_card)))
    folder = saved(next(lightgbm_trees.fit(SAMPLED, task_of(table_card))), tmp_path / "one")
    (folder / "model.txt").write_text("no trees")
    with pytest.raises(TrainingError, match="is no readable model"):
        lightgbm_trees.evaluate({}, task_of(table_card), folder)


def test_columns_without_a_value_are_left_out_and_nothing_else_is_an_error(tmp_path):
    rows = "\n".join(f",{i % 7},{'yes' if i % 2 else 'no'}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"empty,n,label\n{rows}\n")
    card = card_of(load={"format": "csv", "path": str(tmp_path / "t.csv")})
    for trainer, config in (CASES["lightgbm"], CASES["random_forest"], CASES["linear"]):
        assert math.isfinite(next(trainer.fit(config, task_of(card))).metrics["log_loss"])
    (tmp_path / "t.csv").write_text("empty,n,label\n" + "\n".join(f",,{'yes' if i % 2 else 'no'}" for i in range(60)))
    with pytest.raises(DataError, match="at least one column must hold values"):
        next(lightgbm_trees.fit(SAMPLED, task_of(card)))
