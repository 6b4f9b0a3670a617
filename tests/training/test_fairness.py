"""Gaps between groups: what they measure, where they are measured, and what a limit on one does."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from automl_gpt_ray.cards import parse_data_card
from automl_gpt_ray.config import read_job
from automl_gpt_ray.errors import CardError, DataError, JobError
from automl_gpt_ray.training import sklearn_models, tabular
from automl_gpt_ray.training.fairness import gaps
from training.small import task_of

CARD = {
    "name": "loans",
    "task": "classification",
    "input_type": "tabular",
    "metric": "accuracy",
    "label_space": {"column": "paid", "classes": ["no", "yes"]},
    "columns": [{"name": "income", "type": "number"}, {"name": "sex", "type": "category"}],
    "groups": ["sex"],
    "load": {"format": "csv", "path": "train.csv"},
}


def frame(**columns):
    return pd.DataFrame({name: pd.Categorical(values) for name, values in columns.items()})


def certain(predicted, classes=2):
    return np.eye(classes)[np.array(predicted)]


def test_two_groups_of_two_classes():
    groups = frame(sex=["a"] * 40 + ["b"] * 40)
    labels = np.array([1] * 20 + [0] * 20 + [1] * 20 + [0] * 20)
    predicted = np.array([1] * 20 + [0] * 20 + [1] * 5 + [0] * 35)  # b: a quarter of its good ones is seen
    found = gaps(parse_data_card(CARD), labels, certain(predicted), groups)
    assert found == {
        "selection_gap_sex": pytest.approx(0.5 - 0.125),
        "recall_gap_sex": pytest.approx(0.75),
        "accuracy_gap_sex": pytest.approx(15 / 40),
    }


def test_the_worst_class_counts_and_small_groups_do_not():
    card = parse_data_card({**CARD, "label_space": {"column": "paid", "classes": ["no", "late", "yes"]}})
    groups = frame(sex=["a"] * 30 + ["b"] * 30 + ["c"] * 29)
    labels = np.array([0, 1, 2] * 20 + [0] * 29)
    predicted = labels.copy()
    predicted[30:60][labels[30:60] == 2] = 1
    predicted[60:] = 2  # a group too small to tell
    found = gaps(card, labels, certain(predicted, 3), groups)
    assert found["recall_gap_sex"] == pytest.approx(1.0)
    assert found["selection_gap_sex"] == pytest.approx(1 / 3)
    assert found["accuracy_gap_sex"] == pytest.approx(1 / 3)


def test_regression_compares_errors_and_what_is_not_finite_compares_nothing():
    card = parse_data_card({**CARD, "task": "regression", "metric": "rmse", "label_space": {"column": "paid"}})
    groups = frame(sex=["a"] * 30 + ["b"] * 30)
    truth, said = np.zeros(60), np.array([1.0] * 30 + [3.0] * 30)
    assert gaps(card, truth, said, groups) == {"mae_gap_sex": pytest.approx(2.0)}
    said[0] = np.nan
    assert np.isnan(gaps(card, truth, said, groups)["mae_gap_sex"])


def written(folder, rows=400, rare=0):
    rng = np.random.default_rng(0)
    sex = rng.choice(["f", "m"], rows)
    sex[:rare] = "x"
    income = rng.normal(size=rows) + (sex == "m")
    paid = np.where(income + rng.normal(scale=0.5, size=rows) > 0.5, "yes", "no")
    pd.DataFrame({"income": income, "sex": sex, "paid": paid}).to_csv(folder / "train.csv", index=False)
    return {**CARD, "load": {"format": "csv", "path": str(folder / "train.csv")}}


@pytest.mark.parametrize(
    ("trainer", "config"),
    [(tabular, {}), (sklearn_models, {"estimator": "linear", "imputation": "median"})],
)
def test_trainers_of_tables_report_them_and_score_them_on_test_data(tmp_path, trainer, config):
    card = parse_data_card(written(tmp_path, rare=5))
    task = task_of(card)
    step = next(iter(trainer.fit(config, task)))
    assert 0 < step.metrics["selection_gap_sex"] < 1
    (tmp_path / "kept").mkdir()
    step.save(tmp_path / "kept")
    assert 0 < trainer.evaluate(config, task, tmp_path / "kept")["recall_gap_sex"] <= 1


def test_groups_may_be_hidden_from_the_model(tmp_path):
    values = written(tmp_path)
    hidden = {**values, "load": {**values["load"], "drop": ["sex"]}}
    step = next(iter(tabular.fit({}, task_of(parse_data_card(hidden)))))
    assert "selection_gap_sex" in step.metrics


def test_a_column_that_tells_nobody_apart_is_refused(tmp_path):
    values = written(tmp_path)
    alike = pd.read_csv(tmp_path / "train.csv").assign(sex="f")
    alike.to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(DataError, match=r"\.sex.*two of them with 30 examples"):
        next(iter(tabular.fit({}, task_of(parse_data_card(values)))))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"groups": ["gender"]}, "must be one of `columns`"), ({"input_type": "image"}, "needs a table")],
)
def test_cards_with_wrong_groups_are_refused(changes, words):
    with pytest.raises(CardError, match=words):
        parse_data_card({**CARD, **changes})


def test_a_limit_on_a_gap_that_is_not_measured_is_refused(tmp_path):
    model = {
        "name": "trees",
        "structure": "trees",
        "tasks": ["classification"],
        "input_types": ["tabular"],
        "trainable": "automl_gpt_ray.training.tabular:train",
        "max_steps": 2,
        "hyperparameters": {"eta": {"type": "float", "low": 0.1, "high": 0.5, "default": 0.3}},
    }
    limits = {"recall_gap_sex": {"max": 0.1}, "recall_gap_race": {"max": 0.1}}
    job = {"data_card": written(tmp_path), "model_card": model, "request": {"constraints": {"metrics": limits}}}
    with pytest.raises(JobError) as caught:
        read_job(json.loads(json.dumps(job)))
    (problem,) = caught.value.problems
    assert problem.field.endswith("recall_gap_race")
    assert "recall_gap_sex" in problem.rule
