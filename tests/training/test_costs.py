"""What a model costs is measured: every trainer reports its latency, size and peak memory."""

from __future__ import annotations

import numpy as np
import pytest

from automl_gpt_ray.cards import load_data_card, load_model_card
from automl_gpt_ray.training import costs
from training.small import task_of
from training.test_shipped_cards import CARDS


def first_step(model, data):
    import importlib

    card = load_model_card(CARDS / "models" / f"{model}.yaml")
    trainer = importlib.import_module(card.trainable.partition(":")[0])
    task = task_of(load_data_card(CARDS / "data" / f"{data}.yaml"), max_steps=1)
    return next(trainer.fit(card.space.default, task))


@pytest.mark.parametrize(
    ("model", "data", "least", "most"),
    [
        ("xgboost", "iris", 1e-3, 1.0),
        ("lightgbm", "iris", 1e-3, 1.0),
        ("random_forest", "iris", 1e-3, 1.0),
        ("hist_gradient_boosting", "iris", 1e-4, 1.0),
        ("logistic_regression", "iris", 1e-5, 0.01),
        ("small_cnn", "digits", 0.06, 0.08),  # 17,000 weights of 4 bytes
    ],
)
def test_every_trainer_tells_size_and_latency(model, data, least, most):
    found = first_step(model, data).costs
    assert least < found["model_size_mb"] < most
    assert 0 < found["latency_ms"] < 1000


def test_what_grows_weighs_more():
    small, large = (first_step_of_forest(trees) for trees in (5, 50))
    assert 5 < large / small < 20


def first_step_of_forest(trees):
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    model = RandomForestClassifier(trees, random_state=0).fit(rng.random((200, 3)), rng.integers(0, 2, 200))
    return costs.arrays_bytes(model)


def test_arrays_are_counted_once_and_cycles_end():
    array = np.zeros(100)
    held = {"a": array, "b": [array, (array,)]}
    held["self"] = held
    assert costs.arrays_bytes(held) == 800


def test_the_outermost_of_nested_calls_is_timed():
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU())
    with costs.watched(model) as clock:
        model(torch.zeros(7, 3))
        model[0](torch.zeros(4, 3))
    assert clock.examples == 11
    assert clock.latency_ms > 0
    model(torch.zeros(5, 3))
    assert clock.examples == 11
    assert costs.weights_bytes(model) == 4 * 12


def test_the_peak_of_memory_grows_with_what_is_held():
    costs.forget_peak()
    before = costs.peak_memory()["memory_mb"]
    held = np.ones(20_000_000)
    assert costs.peak_memory()["memory_mb"] > before + 100
    assert held.sum() == 2e7
