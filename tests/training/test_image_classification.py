import math
from pathlib import Path

import numpy as np
import pytest
import torch

from automl_gpt_ray.cards import load_data_card
from automl_gpt_ray.errors import DataError, SpaceError, TrainingError
from automl_gpt_ray.training import image_classification as trainer
from automl_gpt_ray.training import networks, optimisation
from automl_gpt_ray.training.augmentation import AUGMENTATIONS, Normalisation, augment
from automl_gpt_ray.training.image_classification import evaluate, fit
from training.small import task_of

DIGITS = load_data_card(Path(__file__).resolve().parents[2] / "configs" / "cards" / "data" / "digits.yaml")
CNN = {"width": 8, "depth": 2, "dropout": 0.2, "augmentation": "shift_flip", "batch_size": 128, "learning_rate": 0.01}
VIT = {"architecture": "vit", "layers": 1, "heads": 2, "head_size": 8, "patch_size": 4, "dropout": 0.1, "warmup": 0.2}
SGD = {**CNN, "optimizer": "sgd", "momentum": 0.8, "schedule": "cosine", "label_smoothing": 0.1}


def curve(steps):
    return [{name: value for name, value in step.metrics.items() if name != "seconds"} for step in steps]


def saved(step, folder):
    folder.mkdir()
    step.save(folder)
    return folder


def test_a_small_network_learns_the_digits(tmp_path):
    task = task_of(DIGITS)
    steps = list(fit({"learning_rate": 0.005}, task))
    found = curve(steps)
    assert [step["step"] for step in found] == [1, 2, 3, 4]
    assert {"accuracy", "log_loss", "f1_macro", "train_loss", "train_accuracy", "train_log_loss"} <= set(found[0])
    assert found[-1]["train_loss"] < found[0]["train_loss"] / 2
    assert found[-1]["accuracy"] > 0.85
    folder = saved(steps[-1], tmp_path / "last")
    assert evaluate({}, task, folder)["accuracy"] > 0.85
    validation = evaluate({}, task, folder, "validation")
    assert validation == pytest.approx({name: found[-1][name] for name in validation})


@pytest.mark.parametrize("config", [CNN, SGD, VIT], ids=["adamw", "sgd", "vit"])
def test_a_resumed_training_goes_on_as_if_uninterrupted(tmp_path, config):
    task = task_of(DIGITS)
    whole = list(fit(config, task))
    steps = fit(config, task)
    next(steps)
    second = next(steps)
    folder = saved(second, tmp_path / "two")
    steps.close()
    torch.manual_seed(12345)  # what another process would have drawn
    rest = list(fit(config, task, folder))
    assert curve(rest) == curve(whole)[2:]
    assert rest[0].metrics["seconds"] > second.metrics["seconds"]


def test_a_hot_change_takes_effect_at_the_next_step():
    config = {**CNN, "batch_norm": False, "weight_decay": 0.0, "schedule": "constant"}
    steps = fit(config, task_of(DIGITS))
    next(steps)
    config["learning_rate"] = 0.0
    still = curve(steps)
    assert len({step["log_loss"] for step in still}) == 1


def test_architecture_cannot_change_under_a_checkpoint(tmp_path):
    folder = saved(next(fit(CNN, task_of(DIGITS))), tmp_path / "one")
    with pytest.raises(TrainingError, match="width"):
        next(fit({**CNN, "width": 16}, task_of(DIGITS), folder))


def test_a_broken_checkpoint_is_a_training_error(tmp_path):
    folder = saved(next(fit(CNN, task_of(DIGITS))), tmp_path / "one")
    (folder / "weights.pt").write_bytes(b"no weights")
    with pytest.raises(TrainingError, match="holds no readable weights"):
        evaluate(CNN, task_of(DIGITS), folder)


def test_no_test_split_is_a_data_error(tmp_path):
    card = DIGITS.model_copy(update={"test_share": 0.0})
    folder = saved(next(fit(CNN, task_of(card))), tmp_path / "one")
    with pytest.raises(DataError, match="a `test` split must be given"):
        evaluate(CNN, task_of(card), folder)


def test_divergence_is_reported_and_then_an_error():
    steps = fit({**SGD, "learning_rate": 1e30, "batch_norm": False}, task_of(DIGITS, "log_loss", "min"))
    assert math.isnan(next(steps).metrics["log_loss"])
    with pytest.raises(TrainingError) as caught:
        next(steps)
    assert caught.value.kind == "nan"


def test_lack_of_memory_has_its_own_class(monkeypatch):
    def exhausted(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer, "_epoch", exhausted)
    with pytest.raises(TrainingError) as caught:
        next(fit(CNN, task_of(DIGITS)))
    assert caught.value.kind == "oom"


WRONG = [
    {"architecture": "resnet"},
    {"depth": 9},
    {"width": 0},
    {"optimizer": "lion"},
    {"augmentation": "cut"},
    {"lr": 1},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_the_trainer_would_not_obey_is_refused(wrong):
    with pytest.raises(SpaceError, match=next(iter(wrong))):
        next(fit(wrong, task_of(DIGITS)))


def test_networks_take_images_of_any_size():
    for shape in ((1, 1, 1), (7, 5, 3)):
        images = torch.zeros(2, shape[2], shape[0], shape[1])
        assert networks.build({"depth": 1, "width": 8}, shape, 4)(images).shape == (2, 4)
        assert networks.build(VIT, shape, 4)(images).shape == (2, 4)


def test_the_learning_rate_rises_and_falls():
    config = {"learning_rate": 1.0, "warmup": 0.2, "schedule": "cosine"}
    rates = [optimisation.learning_rate(config, progress) for progress in (0.0, 0.1, 0.2, 0.6, 0.999)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.5, 0.0], abs=1e-4)
    assert optimisation.learning_rate({"learning_rate": 0.3, "schedule": "constant"}, 0.9) == 0.3


def test_augmentation_moves_and_mirrors_only():
    pixels = torch.zeros(64, 1, 8, 8)
    pixels[:, 0, 3, 2] = 1.0
    for kind in AUGMENTATIONS:
        found = augment(pixels, kind, torch.Generator().manual_seed(0))
        assert found.shape == pixels.shape
        assert found.sum() == pixels.sum()
        rows, columns = found.sum(dim=(0, 1, 3)).nonzero().flatten(), found.sum(dim=(0, 1, 2)).nonzero().flatten()
        assert rows.tolist() == ([2, 3, 4] if "shift" in kind else [3])
        across = {"none": [2], "shift": [1, 2, 3], "flip": [2, 5], "shift_flip": [1, 2, 3, 4, 5, 6]}
        assert columns.tolist() == across[kind]


def test_normalisation():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    assert Normalisation.fit(pixels, "unit").apply(tensor).max() <= 1.0
    assert torch.equal(Normalisation.fit(pixels, "none").apply(tensor), tensor.float())
    standard = Normalisation.fit(pixels, "standardise").apply(tensor)
    assert standard.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert standard.std(dim=(0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-2)
