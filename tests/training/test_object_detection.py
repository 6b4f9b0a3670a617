import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from automl_gpt_ray.cards import load_data_card
from automl_gpt_ray.errors import DataError, JobError, SpaceError, TrainingError
from automl_gpt_ray.training.average_precision import Detections, average_precision
from automl_gpt_ray.training.data_check import check_data
from automl_gpt_ray.training.object_detection import evaluate, learn
from automl_gpt_ray.training.pictures import Pictures
from automl_gpt_ray.training.scenes import load_scenes
from training.small import Reports, card_of, task_of

CARDS = Path(__file__).resolve().parents[2] / "configs" / "cards" / "data"
TRAINING = {"resize": 32, "batch_size": 8, "learning_rate": 0.003, "schedule": "constant", "gradient_clip": 0.1}
DETR = {
    "model_type": "detr",
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "num_queries": 4,
    "backbone_config.model_type": "resnet",
    "backbone_config.layer_type": "basic",
    "backbone_config.embedding_size": 8,
    "backbone_config.hidden_sizes": "[8, 16]",
    "backbone_config.depths": "[1, 1]",
    "backbone_config.out_features": '["stage2"]',
    "augmentation": "crop_flip",
    **TRAINING,
}
YOLOS = {
    "model_type": "yolos",
    "patch_size": 8,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "intermediate_size": 32,
    "num_detection_tokens": 4,
    "use_mid_position_embeddings": False,
    **TRAINING,
}
RT_DETR = {
    "model_type": "rt_detr",
    "backbone_config.model_type": "rt_detr_resnet",
    "backbone_config.layer_type": "basic",
    "backbone_config.embedding_size": 8,
    "backbone_config.hidden_sizes": "[8, 8, 16, 16]",
    "backbone_config.depths": "[1, 1, 1, 1]",
    "backbone_config.out_features": '["stage2", "stage3", "stage4"]',
    "encoder_hidden_dim": 16,
    "encoder_in_channels": "[8, 16, 16]",
    "encoder_ffn_dim": 16,
    "encoder_attention_heads": 2,
    "d_model": 16,
    "decoder_in_channels": "[16, 16, 16]",
    "decoder_ffn_dim": 16,
    "decoder_attention_heads": 2,
    "decoder_layers": 1,
    "num_queries": 10,
    "num_denoising": 4,
    **TRAINING,
    "resize": 64,
}


def squares(folder, count=12, change=lambda content: None):
    """Pictures of 40 by 30 pixels with one light square (`square`) or two, and their COCO file."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (folder / "pictures").mkdir(exist_ok=True)
    for i in range(count):
        pixels = np.full((30, 40, 3), 20, dtype=np.uint8)
        for kind in range(1 + i % 2):
            left, top, side = int(rng.integers(0, 25)), int(rng.integers(0, 15)), int(rng.integers(8, 15))
            pixels[top : top + side, left : left + side] = (240, 240 * (1 - kind), 200)
            box = {"image_id": i, "bbox": [left, top, side, side], "category_id": 3 + kind, "area": side * side}
            annotations.append({"id": len(annotations) + 1, "iscrowd": 0, **box})
        Image.fromarray(pixels).save(folder / "pictures" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": 30, "width": 40})
    categories = [{"id": 3, "name": "light"}, {"id": 4, "name": "pink"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    change(content)
    (folder / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    return card_of(
        task="object_detection",
        input_type="image",
        metric="map",
        label_space={"classes": ["pink", "light"]},
        validation_share=0.25,
        test_share=0.25,
        load={
            "format": "coco",
            "path": str(folder),
            "files": {"train_annotations": "boxes.json", "train_images": "pictures"},
        },
    )


@pytest.mark.parametrize("config", [DETR, YOLOS, RT_DETR], ids=["detr", "yolos", "rt_detr"])
def test_detectors_train_and_go_on_as_if_uninterrupted(tmp_path, config):
    task = task_of(squares(tmp_path), "map", max_steps=3)
    whole, rest = Reports(tmp_path / "whole"), Reports(tmp_path / "rest")
    config = {**config, "epochs_per_step": 5}
    learn(config, task, whole)
    assert whole.steps[-1]["train_loss"] < whole.steps[0]["train_loss"]
    assert 0 <= whole.steps[-1]["map"] <= 1
    torch.manual_seed(12345)
    learn(config, task, rest, whole.checkpoint(1))
    assert [step["train_loss"] for step in rest.steps] == [step["train_loss"] for step in whole.steps[1:]]
    again = evaluate({}, task, whole.checkpoint(3), "validation")
    assert again["map"] == pytest.approx(whole.steps[-1]["map"], abs=1e-4)
    assert set(evaluate({}, task, whole.checkpoint(3))) == set(again)


@pytest.mark.parametrize("config", [DETR, YOLOS, RT_DETR], ids=["detr", "yolos", "rt_detr"])
def test_a_detector_that_diverges_says_so(tmp_path, config):
    wild = {**config, "learning_rate": 1e30, "epochs_per_step": 5}
    with pytest.raises(TrainingError) as caught:
        learn(wild, task_of(squares(tmp_path), "map", max_steps=1), Reports(tmp_path / "reports"))
    assert caught.value.kind == "nan"


def test_a_trained_detector_is_fitted_to_other_classes(tmp_path):
    card = squares(tmp_path)
    first, second = Reports(tmp_path / "first"), Reports(tmp_path / "second")
    learn(DETR, task_of(card, "map", max_steps=1), first)
    more = card.model_copy(
        update={"label_space": card.label_space.model_copy(update={"classes": ["a", "pink", "light"]})}
    )
    config = {"model": str(first.checkpoint(1)), "backbone_learning_rate": 0.0, **TRAINING, "augmentation": "none"}
    learn(config, task_of(more, "map", max_steps=1), second)
    before, after = (load_file(reports.checkpoint(1) / "model.safetensors") for reports in (first, second))
    assert after["class_labels_classifier.weight"].shape[0] == 4
    frozen = [name for name in before if "backbone" in name]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    moved = [name for name in before if "decoder" in name and not torch.equal(before[name], after[name])]
    assert moved


def test_a_detector_learns_its_own_pictures(tmp_path):
    card = squares(tmp_path, count=8)
    files = {"validation_annotations": "boxes.json", "validation_images": "pictures", **card.load.files}
    card = card.model_copy(update={"load": card.load.model_copy(update={"files": files}), "test_share": 0.0})
    reports = Reports(tmp_path / "reports")
    config = {**YOLOS, "hidden_size": 32, "epochs_per_step": 80, "learning_rate": 0.003}
    learn(config, task_of(card, "map", max_steps=2), reports)
    assert reports.steps[-1]["map_50"] > 0.1
    with pytest.raises(DataError, match="a `test` split must be given"):
        evaluate({}, task_of(card, "map"), reports.checkpoint(2))


def test_perfect_boxes_score_one_and_crowds_do_not_count(tmp_path):
    def crowd(content):
        content["annotations"].append({**content["annotations"][0], "id": 99, "bbox": [0, 0, 40, 30], "iscrowd": 1})

    scenes = load_scenes(squares(tmp_path, change=crowd), ("train", "validation", "test"), 0)
    every = [scene for split in scenes.values() for scene in split]
    assert sum(scene.crowd.sum() for scene in every) == 1
    found = [Detections(s.boxes[~s.crowd], s.labels[~s.crowd], np.ones((~s.crowd).sum())) for s in every]
    assert average_precision(every, found)["map"] == pytest.approx(1.0)
    wrong = [Detections(d.boxes, 1 - d.labels, d.scores) for d in found]
    assert average_precision(every, wrong)["map"] < 0.1
    none = [Detections(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0)) for _ in every]
    assert average_precision(every, none)["map"] == 0.0
    found[0].boxes[0, 0] = np.nan
    assert np.isnan(average_precision(every, found)["map"])


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("keep_aspect", [True, False])
def test_boxes_follow_their_pictures(tmp_path, masked, keep_aspect):
    scenes = load_scenes(squares(tmp_path), ("train",), 0)["train"]
    tall = Image.open(scenes[0].path).transpose(Image.Transpose.TRANSPOSE)
    tall.save(scenes[0].path)
    flipped = type(scenes[0])(
        **{**vars(scenes[0]), "height": 40, "width": 30, "boxes": scenes[0].boxes[:, [1, 0, 3, 2]]}
    )
    scenes = [flipped, *scenes[1:4]]
    pictures = Pictures({"resize": 60, "keep_aspect": keep_aspect, "normalisation": "unit"}, masked)
    batch = pictures.batch(scenes, training=False)
    assert ("pixel_mask" in batch) == masked
    assert tuple(batch["pixel_values"].shape[2:]) == ((80, 80) if keep_aspect else (60, 60))
    for i, (scene, label) in enumerate(zip(scenes, batch["labels"], strict=True)):
        across, down = pictures.frame(scene, batch)
        centre = label["boxes"][:, :2] * torch.tensor([across, down])
        assert centre.numpy() == pytest.approx(scene.boxes[:, :2] + scene.boxes[:, 2:] / 2, abs=1e-3)
        # The pixel at the centre of the last box, found in the batch, is light.
        height, width = (
            batch["pixel_values"].shape[2:]
            if not masked
            else (int(batch["pixel_mask"][i].sum(0).max()), int(batch["pixel_mask"][i].sum(1).max()))
        )
        x, y = (label["boxes"][-1, :2] * torch.tensor([width, height])).long()
        assert batch["pixel_values"][i, 0, y, x] > 0.8


@pytest.mark.parametrize("kind", ["flip", "crop", "crop_flip"])
def test_augmented_boxes_stay_on_their_squares(tmp_path, kind):
    scenes = load_scenes(squares(tmp_path), ("train",), 0)["train"]
    pictures = Pictures({"resize": 64, "augmentation": kind, "normalisation": "unit"}, masked=True)
    torch.manual_seed(0)
    moved = 0
    for _ in range(5):
        batch = pictures.batch(scenes, training=True)
        for i, label in enumerate(batch["labels"]):
            assert ((label["boxes"] >= 0) & (label["boxes"] <= 1)).all()
            x, y = (label["boxes"][-1, :2] * 64).long()
            assert batch["pixel_values"][i, 0, y, x] > 0.6
            moved += float(label["boxes"][-1, 0]) != pytest.approx(
                float((scenes[i].boxes[-1, 0] + scenes[i].boxes[-1, 2] / 2) / 40), abs=1e-4
            )
    assert moved > 5


def test_pictures_of_sixteen_bits_keep_their_shades(tmp_path):
    card = squares(tmp_path)
    shades = np.linspace(0, 2**16 - 1, 30 * 40).astype(np.uint16).reshape(30, 40)
    for path in (tmp_path / "pictures").iterdir():
        Image.fromarray(shades).save(path)
    scenes = load_scenes(card, ("train",), 0)["train"]
    seen = Pictures({"resize": 32, "normalisation": "unit"}, masked=True).batch(scenes[:1], training=False)
    values = seen["pixel_values"][0]
    assert (values[0] == values[2]).all()
    assert values.mean() == pytest.approx(0.5, abs=0.02)


def test_boxes_outside_are_clipped_or_skipped_and_counted(tmp_path, caplog):
    def spoil(content):
        boxes = content["annotations"]
        boxes[0]["bbox"] = [35, 20, 30, 30]  # reaches outside
        boxes[1]["bbox"] = [50, 5, 4, 4]  # lies outside
        boxes[2]["bbox"] = [5, 5, 0, 4]
        boxes[3]["image_id"] = 777

    with caplog.at_level(logging.WARNING):
        card = squares(tmp_path, change=spoil)
        assert sum(check_data(card).values()) == 12 - len({"unlabelled"}) * (len(caplog.text.split("no box")) - 1)
    assert "1 boxes reach outside their picture: clipped" in caplog.text
    assert "2 boxes have no area within their picture: skipped" in caplog.text
    assert "1 boxes belong to pictures that are not listed: skipped" in caplog.text
    scenes = load_scenes(card, ("train", "validation", "test"), 0)
    assert [5.0, 10.0] in [box[2:] for split in scenes.values() for scene in split for box in scene.boxes.tolist()]


def test_bad_pictures_and_annotations_are_data_errors(tmp_path):
    def renamed(content):
        content["categories"][0]["name"] = "lite"

    def without_boxes(content):
        content["annotations"].clear()

    def without_pictures(content):
        content["images"].clear()

    def broken(content):
        del content["annotations"][0]["bbox"]

    def no_list(content):
        del content["categories"]

    expected = {
        renamed: "Did you mean `light`",
        without_boxes: "there must be boxes to train on",
        without_pictures: "must hold at least one picture",
        broken: "as COCO writes them",
        no_list: "images, annotations and categories",
    }
    for change, message in expected.items():
        with pytest.raises(DataError, match=message):
            check_data(squares(tmp_path, change=change))
    card = squares(tmp_path)
    (tmp_path / "pictures" / "3.png").write_bytes((tmp_path / "pictures" / "3.png").read_bytes()[:60])
    (tmp_path / "pictures" / "4.png").unlink()
    Image.new("RGB", (9, 9)).save(tmp_path / "pictures" / "5.png")
    with pytest.raises(DataError) as caught:
        check_data(card)
    assert "3.png" in str(caught.value)
    assert "4.png" in str(caught.value)
    assert "9x9 pixels, 40x30 in the JSON" in str(caught.value)
    (tmp_path / "boxes.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="must be a readable COCO instances JSON"):
        check_data(card)


@pytest.mark.parametrize(("metric", "fine"), [("map", True), ("map_small", True), ("map_large", False)])
def test_a_metric_about_objects_that_are_not_there_is_refused_ahead(tmp_path, metric, fine):
    card = squares(tmp_path)  # of 8 to 14 pixels
    validation = load_scenes(card, ("validation",), 0)["validation"]
    perfect = [Detections(s.boxes, s.labels, np.ones(len(s.boxes))) for s in validation]
    assert (average_precision(validation, perfect)[metric] == pytest.approx(1.0)) is fine
    if fine:
        assert check_data(card, 0, metric)
        return
    with pytest.raises(DataError, match="`map_large` must have a value on it"):
        check_data(card, 0, metric)


def test_validation_without_an_object_is_refused_ahead(tmp_path):
    held_out = {scene.number for scene in load_scenes(squares(tmp_path), ("validation",), 0)["validation"]}

    def crowded(content):
        for box in content["annotations"]:
            box["iscrowd"] = int(box["image_id"] in held_out)

    with pytest.raises(DataError, match=r"no object that it is about in \d pictures"):
        check_data(squares(tmp_path, change=crowded), 0, "map")


def test_what_cannot_be_trained_is_refused(tmp_path):
    card = squares(tmp_path)
    with pytest.raises(DataError, match="train_annotations"):
        check_data(card.model_copy(update={"load": card.load.model_copy(update={"files": {"train": "boxes.json"}})}))
    with pytest.raises(JobError, match=r"objective\.metric"):
        learn(YOLOS, task_of(card, "accuracy"), Reports(tmp_path / "reports"))
    with pytest.raises(SpaceError, match="augmentation"):
        learn({**YOLOS, "augmentation": "cut"}, task_of(card, "map"), Reports(tmp_path / "reports"))


@pytest.mark.shared
def test_real_pictures(shared_data, tmp_path):
    shipped = load_data_card(CARDS / "coco128.yaml")
    card = shipped.model_copy(update={"load": shipped.load.model_copy(update={"path": str(shared_data / "coco128")})})
    assert check_data(card) == shipped.size == {"train": 126, "validation": 128}
    every = load_scenes(card, ("validation",), 0)["validation"]
    found = [Detections(s.boxes[~s.crowd], s.labels[~s.crowd], np.ones((~s.crowd).sum())) for s in every]
    assert average_precision(every, found)["map"] == pytest.approx(1.0)
    reports = Reports(tmp_path / "reports")
    learn({**DETR, "resize": 64, "batch_size": 16}, task_of(card, "map", max_steps=1), reports)
    assert 0 <= reports.steps[0]["map"] < 0.1
