import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from automl_gpt_ray.cards import load_data_card
from automl_gpt_ray.errors import DataError
from automl_gpt_ray.training.data_check import check_data
from automl_gpt_ray.training.images import load_images
from training.small import card_of

CARDS = Path(__file__).resolve().parents[2] / "configs" / "cards" / "data"
ALL = ("train", "validation", "test")


def picture(value, size=(6, 4), mode="RGB", form="PNG"):
    """A picture of one grey value; `size` is width and height."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0]), value, dtype=np.uint8)).convert(mode).save(buffer, form)
    return buffer.getvalue()


def image_card(**values):
    return card_of(**{"input_type": "image", "label_space": {"classes": ["dark", "light"]}, **values})


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder_card(tmp_path):
    for split in ("train", "test"):
        for name, value in (("dark", 10), ("light", 240)):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(10):
                (folder / f"{i}.png").write_bytes(picture(value))
    return image_card(load={"format": "image_folder", "path": str(tmp_path)})


def test_folders(folder_card):
    images = load_images(folder_card, ALL, seed=0)
    assert {split: found.pixels.shape for split, found in images.items()} == {
        "train": (16, 4, 6, 3),
        "validation": (4, 4, 6, 3),
        "test": (20, 4, 6, 3),
    }
    assert images["test"].pixels[images["test"].labels == 1].min() == 240


def test_folders_of_classes_alone_are_training_data(folder_card):
    load = folder_card.load.model_copy(update={"path": f"{folder_card.load.path}/train"})
    images = load_images(folder_card.model_copy(update={"load": load}), ALL, seed=0)
    assert sum(len(found.labels) for found in images.values()) == 20


def test_one_grey_picture_takes_no_colour_from_the_others(folder_card, tmp_path):
    (tmp_path / "train" / "dark" / "0.png").write_bytes(picture(10, mode="L"))
    Image.new("RGB", (6, 4), (250, 0, 0)).save(tmp_path / "train" / "light" / "0.png")
    pixels = load_images(folder_card, ("train", "validation"), seed=0)
    assert any((image[0, 0] == (250, 0, 0)).all() for found in pixels.values() for image in found.pixels)


@pytest.mark.parametrize("ending", [".png", ".tif", ".TIFF"])
def test_sixteen_bits_keep_their_shades(tmp_path, ending):
    (tmp_path / "train" / "dark").mkdir(parents=True)
    (tmp_path / "train" / "light").mkdir()
    shades = np.arange(0, 2**16, 2**12, dtype=np.uint16).reshape(4, 4)
    for name in ("dark", "light"):
        for i in range(5):
            Image.fromarray(shades).save(tmp_path / "train" / name / f"{i}{ending}")
    card = image_card(load={"format": "image_folder", "path": str(tmp_path)})
    pixels = load_images(card, ("train",), seed=0)["train"].pixels
    assert pixels[0].ravel().tolist() == list(range(0, 256, 16))


def test_digits_come_in_full_range():
    images = load_images(load_data_card(CARDS / "digits.yaml"), ALL, seed=0)
    assert sum(len(found.labels) for found in images.values()) == 1797
    assert images["train"].pixels.shape[1:] == (8, 8, 1)
    assert images["train"].pixels.max() == 255


@pytest.mark.parametrize("wrap", [bytes, lambda encoded: {"bytes": encoded, "path": None}])
def test_parquet_with_encoded_images_is_resized_and_turned_grey(tmp_path, wrap):
    pictures = [wrap(picture(10 if i % 2 == 0 else 240, size=(5 + i % 3, 4))) for i in range(20)]
    pd.DataFrame({"img": pictures, "label": [0, 1] * 10}).to_parquet(tmp_path / "t.parquet")
    load = {"format": "parquet", "path": str(tmp_path / "t.parquet"), "image_column": "img"}
    images = load_images(image_card(load=load, image_shape=[8, 8, 1], test_share=0), ("train",), seed=0)["train"]
    assert images.pixels.shape == (16, 8, 8, 1)
    assert (images.pixels[images.labels == 0] == 10).all()


def test_idx_files_packed_or_not(tmp_path):
    pixels, labels = np.arange(20 * 6).reshape(20, 2, 3), np.tile([0, 1], 10)
    (tmp_path / "i.gz").write_bytes(gzip.compress(idx(pixels)))
    (tmp_path / "l").write_bytes(idx(labels))
    load = {"format": "idx", "path": str(tmp_path), "files": {"train_images": "i", "train_labels": "l"}}
    card = image_card(load=load)
    assert load_images(card, ("train",), seed=0)["train"].pixels.shape == (13, 2, 3, 1)
    assert check_data(card) == {"train": 13, "validation": 3, "test": 4}
    (tmp_path / "l").write_bytes(idx(labels[:-1]))
    with pytest.raises(DataError, match="19 labels for 20 images"):
        check_data(card)
    (tmp_path / "l").write_bytes(idx(labels)[:-3])
    with pytest.raises(DataError, match="must be an IDX file"):
        check_data(card)


def test_bad_images_and_labels_are_data_errors(folder_card, tmp_path):
    (tmp_path / "train" / "dark" / "zz.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"zz\.png.*must be a readable image"):
        check_data(folder_card)
    (tmp_path / "train" / "dark" / "zz.png").unlink()
    (tmp_path / "train" / "green").mkdir()
    (tmp_path / "train" / "green" / "0.png").write_bytes(picture(9))
    with pytest.raises(DataError, match="'green'"):
        check_data(folder_card)


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        ({"format": "image_folder", "path": "/nowhere"}, "must be a folder arranged as"),
        ({"format": "parquet", "path": "/nowhere"}, "must be a Parquet file"),
        ({"format": "csv", "path": "/nowhere"}, "must be one of sklearn"),
        ({"format": "sklearn", "name": "iris"}, "must be a bundled set of images"),
        ({"format": "sklearn", "name": "digit"}, "did you mean|Did you mean"),
        ({"format": "idx", "path": "/nowhere", "files": {"train": "x"}}, "the file 'x' must exist"),
    ],
)
def test_sources_that_are_not_there(load, expected):
    with pytest.raises(DataError, match=expected):
        check_data(image_card(load=load))


def test_idx_files_are_named_by_split_and_part():
    load = {"format": "idx", "path": "/nowhere", "files": {"train": "x"}}
    with pytest.raises(DataError, match="there must be a `train` split"):
        load_images(image_card(load=load), ("train",), seed=0)


def test_a_shape_other_than_the_cards(tmp_path):
    card = load_data_card(CARDS / "digits.yaml").model_copy(update={"image_shape": (9, 9, 1)})
    with pytest.raises(DataError, match="images must have the shape"):
        check_data(card)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "folder", "test"), [("cifar10", "cifar10_sample", 2000), ("mnist", "mnist_t10k", 2000)]
)
def test_shipped_cards_read_the_real_files(shared_data, name, folder, test):
    card = load_data_card(CARDS / f"{name}.yaml")
    load = card.load.model_copy(update={"path": str(shared_data / folder)})
    sizes = check_data(card.model_copy(update={"load": load}))
    assert sizes["test"] == 2000
    assert sizes["train"] + sizes["validation"] == (10000 if name == "cifar10" else 8000)
