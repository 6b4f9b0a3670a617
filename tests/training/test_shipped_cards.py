import importlib
from pathlib import Path

import numpy as np
import pytest

from automl_gpt_ray.cards import load_data_card, load_model_card
from automl_gpt_ray.training import fine_tuning, image_classification, preprocessing, transformer_models
from automl_gpt_ray.training.data_check import check_data
from training.small import task_of

CARDS = Path(__file__).resolve().parents[2] / "configs" / "cards"


@pytest.mark.parametrize("path", sorted((CARDS / "data").glob("*.yaml")), ids=lambda path: path.stem)
def test_data_cards_load_and_bundled_ones_are_true(path):
    card = load_data_card(path)
    assert card.description
    assert card.source
    assert card.licence
    if card.load.format == "sklearn":
        assert sum(check_data(card).values()) == card.size["train"]
    if card.label_balance:
        assert set(card.label_balance) == set(card.label_space.names)
        assert sum(card.label_balance.values()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("path", sorted((CARDS / "models").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_trainer_of_a_model_card_obeys_everything_the_card_offers(path):
    card = load_model_card(path)
    module, function = card.trainable.split(":")
    trainer = importlib.import_module(module)
    assert callable(getattr(trainer, function))
    assert callable(trainer.evaluate)
    rng = np.random.default_rng(0)
    configs = [card.space.default, *(card.space.neighbour(card.space.default, rng, scale=0.3) for _ in range(3))]
    if hasattr(trainer, "learn"):
        check_transformers(card, trainer, configs)
        return
    known = trainer.known(card.space.default) if hasattr(trainer, "known") else trainer._KNOWN
    assert set(card.space.parameters) <= known | set(preprocessing.CHOICES)
    data = "iris" if "tabular" in card.input_types else "digits"
    task = task_of(load_data_card(CARDS / "data" / f"{data}.yaml"), max_steps=1)
    for config in configs[:2]:
        assert 0 <= next(trainer.fit(config, task)).metrics["accuracy"] <= 1


def check_transformers(card, trainer, configs):
    """Pretrained weights are not fetched here: their cards may only name what the trainer knows."""
    for config in configs:
        names = transformer_models.architecture_names(config, trainer.KNOWN)
        fine_tuning.updates_per_step(config, 100)
        if "model" in config:
            assert not names
        else:
            described = transformer_models.describe(config, names, {})
            fine_tuning.optimizer_for(transformer_models.build(trainer.AUTO, config, described, seed=0), config)


def test_hot_hyperparameters_are_never_bound_to_a_checkpoint():
    for path in (CARDS / "models").glob("*.yaml"):
        card = load_model_card(path)
        # What scikit-learn fits is fixed when it begins.
        assert bool(card.hot) != ("sklearn_models" in card.trainable)
        assert not {name for name in card.hot if card.group_of(name) != "hyperparameters"}
        bound = image_classification._BOUND | fine_tuning.BOUND | set(preprocessing.CHOICES)
        assert not set(card.hot) & bound
        # A clone goes on from its parent's checkpoint: what that is bound to needs a new trial. Of the bound names,
        # only batch sizes are not bound everywhere.
        free = bound - ({"batch_size"} if "image_classification" in card.trainable else set())
        assert not set(card.clone) & free
