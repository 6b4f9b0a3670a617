import math

import numpy as np
import pytest
from sklearn import metrics as sk

from automl_gpt_ray.metrics import METRICS
from automl_gpt_ray.training.scores import reported, scores
from training.small import card_of

THREE = card_of(label_space={"column": "y", "classes": ["a", "b", "c"]})


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    probabilities = rng.dirichlet(np.ones(3), 200)
    predicted = probabilities.argmax(axis=1)
    found = scores(THREE, labels, probabilities)
    assert set(found) == set(reported(THREE))
    assert set(found) <= set(METRICS)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found["error_rate"] == pytest.approx(1 - found["accuracy"])
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, probabilities))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities, multi_class="ovr"))


def test_two_classes_add_average_precision():
    labels, positive = np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.5])
    found = scores(card_of(), labels, np.column_stack([1 - positive, positive]))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(labels, positive))
    assert found["roc_auc"] == pytest.approx(0.75)


def test_a_class_absent_from_a_small_split_is_left_out():
    found = scores(THREE, np.array([0, 1, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]]))
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert math.isfinite(found["roc_auc"])


def test_predictions_that_are_not_finite_score_nan():
    found = scores(card_of(), np.array([0, 1]), np.array([[math.nan, math.nan], [0.5, 0.5]]))
    assert all(math.isnan(value) for value in found.values())


def test_regression():
    card = card_of(task="regression", metric="rmse", label_space={"column": "y"})
    found = scores(card, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0]))
    assert found == pytest.approx({"rmse": math.sqrt(4 / 3), "mae": 2 / 3, "r2": -1.0})
