from pathlib import Path

import numpy as np
import pytest
import torch

from automl_gpt_ray.cards import load_data_card
from automl_gpt_ray.errors import SpaceError, TrainingError
from automl_gpt_ray.training.augmentation import Normalisation
from automl_gpt_ray.training.image_transformer import evaluate, learn
from training.small import Reports, task_of

DIGITS = load_data_card(Path(__file__).resolve().parents[2] / "configs" / "cards" / "data" / "digits.yaml")
RESNET = {
    "model_type": "resnet",
    "layer_type": "basic",
    "embedding_size": 8,
    "hidden_sizes": "[8, 16]",
    "depths": "[1, 1]",
    "resize": 16,
    "augmentation": "shift",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "batch_size": 128,
}
VIT = {
    "model_type": "vit",
    "patch_size": 2,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "dropout": 0.1,
    "learning_rate": 0.01,
    "batch_size": 32,
}


@pytest.mark.parametrize(("config", "least"), [(RESNET, 0.7), (VIT, 0.3)], ids=["resnet", "vit"])
def test_fresh_networks_learn_the_digits_and_go_on_as_if_uninterrupted(tmp_path, config, least):
    task, whole, rest = task_of(DIGITS), Reports(tmp_path / "whole"), Reports(tmp_path / "rest")
    learn(config, task, whole)
    assert whole.steps[-1]["accuracy"] > least
    assert whole.steps[-1]["train_loss"] < whole.steps[0]["train_loss"]
    torch.manual_seed(12345)
    learn(config, task, rest, whole.checkpoint(2))
    assert rest.curve == whole.curve[2:]
    found = evaluate({}, task, whole.checkpoint(4), "validation")
    assert found == pytest.approx({name: whole.steps[-1][name] for name in found}, abs=1e-5)
    assert evaluate({}, task, whole.checkpoint(4))["accuracy"] > least


def test_grey_images_are_fitted_to_a_pretrained_model(tmp_path):
    from transformers import ViTConfig, ViTForImageClassification

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    pretrained = ViTForImageClassification(ViTConfig(image_size=12, patch_size=4, num_channels=3, num_labels=7, **size))
    pretrained.save_pretrained(tmp_path / "pretrained")
    reports = Reports(tmp_path / "reports")
    config = {"model": str(tmp_path / "pretrained"), "normalisation": "imagenet", "frozen_backbone": True}
    learn({**config, "learning_rate": 0.03}, task_of(DIGITS, max_steps=1), reports)
    before = pretrained.state_dict()
    after = ViTForImageClassification.from_pretrained(reports.checkpoint(1)).state_dict()
    changed = {
        name
        for name, value in after.items()
        if value.shape != before[name].shape or not torch.equal(value, before[name])
    }
    assert {name.split(".")[0] for name in changed} == {"classifier"}
    assert (
        evaluate({}, task_of(DIGITS), reports.checkpoint(1), "validation")["accuracy"] == reports.steps[0]["accuracy"]
    )


@pytest.mark.parametrize("model_type", ["deit", "convnext"])
def test_other_types_train_too(tmp_path, model_type):
    settings = {
        "deit": {name: value for name, value in VIT.items() if name != "model_type"},
        "convnext": {"depths": "[1, 1]", "hidden_sizes": "[8, 16]", "num_stages": 2, "patch_size": 2},
    }
    reports = Reports(tmp_path / "reports")
    learn({"model_type": model_type, **settings[model_type]}, task_of(DIGITS, max_steps=1), reports)
    again = evaluate({}, task_of(DIGITS), reports.checkpoint(1), "validation")
    assert again["accuracy"] == reports.steps[0]["accuracy"] > 0.1


def test_training_on_everything(tmp_path):
    from dataclasses import replace

    reports = Reports(tmp_path / "reports")
    learn(VIT, replace(task_of(DIGITS, max_steps=1), refit=True), reports)
    assert reports.steps[0]["step"] == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"augmentation": "cut"}, "augmentation"),
        ({"normalisation": "grey"}, "normalisation"),
        ({"layer_type": "wide"}, "must fit each other|must accept the settings"),
        ({"resize": -3}, "resize"),
    ],
)
def test_what_the_trainer_would_not_obey_is_refused(tmp_path, change, expected):
    with pytest.raises(SpaceError, match=expected):
        learn({**RESNET, **change}, task_of(DIGITS, max_steps=1), Reports(tmp_path / "reports"))


def test_a_checkpoint_without_its_normalisation_is_a_training_error(tmp_path):
    reports = Reports(tmp_path / "reports")
    learn(VIT, task_of(DIGITS, max_steps=1), reports)
    (reports.checkpoint(1) / "normalisation.json").unlink()
    with pytest.raises(TrainingError, match=r"normalisation\.json"):
        evaluate({}, task_of(DIGITS), reports.checkpoint(1))


def test_fixed_normalisations():
    colours, grey = (np.zeros((2, 3, 3, channels), dtype=np.uint8) for channels in (3, 1))
    assert Normalisation.fit(colours, "half").apply(torch.zeros(1, 3, 2, 2)).unique().tolist() == [-1.0]
    assert len(Normalisation.fit(colours, "imagenet").mean) == 3
    assert len(Normalisation.fit(grey, "imagenet").mean) == 1
