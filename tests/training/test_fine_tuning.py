"""What all trainers on `transformers.Trainer` share, beyond what the tests of each show."""

import pytest
import torch

from automl_gpt_ray.errors import SpaceError, TrainingError
from automl_gpt_ray.training import (
    fine_tuning,
    image_transformer,
    loop,
    object_detection,
    retrieval,
    text_classification,
)
from training import test_image_transformer, test_object_detection, test_retrieval, test_text_classification
from training.small import Reports, task_of


def cases(folder):
    texts = test_text_classification.text_card(folder, test_text_classification.sentences())
    return {
        "text": (text_classification, test_text_classification.TINY, task_of(texts, max_steps=2)),
        "image": (
            image_transformer,
            test_image_transformer.RESNET,
            task_of(test_image_transformer.DIGITS, max_steps=2),
        ),
        "detr": (
            object_detection,
            test_object_detection.DETR,
            task_of(test_object_detection.squares(folder), "map", max_steps=2),
        ),
        "rt_detr": (
            object_detection,
            test_object_detection.RT_DETR,
            task_of(test_object_detection.squares(folder), "map", max_steps=2),
        ),
        "retrieval": (
            retrieval,
            {**test_retrieval.TINY, "num_hidden_layers": 1},
            task_of(test_retrieval.write(folder), "recall_at_5", max_steps=2),
        ),
    }


@pytest.mark.parametrize("name", ["text", "image", "detr", "rt_detr", "retrieval"])
def test_mixed_precision(tmp_path, monkeypatch, name):
    """On a GPU trainers compute in half precision; a CPU can do the same, if slowly."""
    monkeypatch.setattr(fine_tuning, "precision", lambda: {"bf16": True, "fp16": False})
    seen = set()
    trainer, config, task = cases(tmp_path)[name]
    reports = Reports(tmp_path / "reports")

    def spy(module, inputs, output):
        seen.add(output.dtype)

    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: spy(module, inputs, output) if isinstance(module, torch.nn.Linear) else None
    )
    try:
        trainer.learn(config, task, reports)
    finally:
        handle.remove()
    assert torch.bfloat16 in seen or name == "image"  # whose only linear layer is the head
    assert reports.steps[1][task.objective.metric] >= 0
    assert {p.dtype for p in torch.load(reports.checkpoint(2) / "optimizer.pt")["state"][0].values()} == {torch.float32}


def test_a_share_of_a_gpu_bounds_its_memory(monkeypatch):
    bounds = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", bounds.append)
    for gpus in (0.0, 0.25, 1.0, 2.0):
        loop._keep_to_share(gpus)
    assert bounds == [0.25]


def test_a_step_may_be_less_or_more_than_an_epoch():
    assert fine_tuning.updates_per_step({"batch_size": 10}, 95) == 10
    assert fine_tuning.updates_per_step({"batch_size": 10, "epochs_per_step": 0.25}, 95) == 3
    assert fine_tuning.updates_per_step({"batch_size": 10, "gradient_accumulation": 2, "epochs_per_step": 3}, 95) == 15
    assert fine_tuning.updates_per_step({"batch_size": 10, "epochs_per_step": 0.001}, 95) == 1
    assert fine_tuning.updates_per_step({"batch_size": 10}, 91) == 9  # a batch of one has nothing to normalise by
    with pytest.raises(SpaceError, match="epochs_per_step"):
        fine_tuning.updates_per_step({"epochs_per_step": 0}, 95)


def test_a_step_of_part_of_an_epoch_and_gathered_gradients(tmp_path):
    trainer, config, task = cases(tmp_path)["text"]
    config = {**config, "batch_size": 4, "gradient_accumulation": 2, "epochs_per_step": 0.4}
    whole, rest = Reports(tmp_path / "whole"), Reports(tmp_path / "rest")
    trainer.learn(config, task, whole)
    assert [step["step"] for step in whole.steps] == [1, 2]
    trainer.learn(config, task, rest, whole.checkpoint(1))
    assert rest.curve == whole.curve[1:]


def test_a_last_batch_of_one_is_left_out(tmp_path):
    trainer, config, task = cases(tmp_path)["image"]
    images = 1150  # training images of the digits
    reports = Reports(tmp_path / "reports")
    # A picture of 8 by 8 pixels is one pixel in the last stage: a single one has nothing to normalise by.
    one = {**config, "resize": 8, "batch_size": images - 1}
    trainer.learn(one, task, reports)
    assert fine_tuning.updates_per_step(one, images) == 1
    assert [step["step"] for step in reports.steps] == [1, 2]


def test_a_damaged_checkpoint_is_named_and_not_gone_on_from(tmp_path):
    trainer, config, task = cases(tmp_path)["text"]
    whole = Reports(tmp_path / "whole")
    trainer.learn(config, task, whole)
    for name in ("trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        file = whole.checkpoint(1) / name
        content = file.read_bytes()
        for damaged in (content[: len(content) // 2], content[:9], b""):
            file.write_bytes(damaged)
            with pytest.raises(TrainingError, match="step-1` cannot be gone on from"):
                trainer.learn(config, task, Reports(tmp_path / "rest"), whole.checkpoint(1))
        if name != "rng_state.pth":  # several workers have others
            file.unlink()
            with pytest.raises(TrainingError, match=f"it has no {name}"):
                trainer.learn(config, task, Reports(tmp_path / "rest"), whole.checkpoint(1))
        file.write_bytes(content)
    rest = Reports(tmp_path / "rest")
    trainer.learn(config, task, rest, whole.checkpoint(1))
    assert rest.curve == whole.curve[1:]


def test_a_report_that_fails_is_not_blamed_on_the_checkpoint(tmp_path):
    trainer, config, task = cases(tmp_path)["text"]
    whole = Reports(tmp_path / "whole")
    trainer.learn(config, task, whole)

    def fail(metrics, folder):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        trainer.learn(config, task, fail, whole.checkpoint(1))


def test_a_finished_training_is_not_gone_on_with(tmp_path):
    trainer, config, task = cases(tmp_path)["text"]
    whole, rest = Reports(tmp_path / "whole"), Reports(tmp_path / "rest")
    trainer.learn(config, task, whole)
    trainer.learn(config, task, rest, whole.checkpoint(2))
    assert rest.steps == []
