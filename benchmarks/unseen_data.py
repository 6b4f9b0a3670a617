"""Data sets that are alike to a known degree: classes of CIFAR-10 shared out, and digits beside them.

Two source sets of five classes each, and a new one with three classes of the first and two of the second; MNIST's
digits are the set that is not alike. All are real Parquet files and Data Cards in a folder of their own.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
from PIL import Image

SOURCES: Mapping[str, tuple[str, ...]] = {
    "vehicles": ("airplane", "automobile", "ship", "truck", "bird"),
    "animals": ("cat", "deer", "dog", "frog", "horse"),
}
NEW = ("airplane", "ship", "truck", "deer", "frog")
"""Six tenths of it are in the first source, four in the second."""
DIGITS = "digits"

Examples = Sequence[tuple[bytes, int]]


def cards(folder: Path, data: Path, train: int, test: int) -> dict[str, dict[str, Any]]:
    """Write the data sets into `folder` and return their Data Cards, by name: the sources, `digits` and `new`.

    Args:
        folder: Is made.
        data: Holds `cifar10_sample` and `mnist_t10k`.
        train: Training images of each set, validation included.
        test: Test images of each set.
    """
    made = {}
    for name, classes in {**SOURCES, "new": NEW}.items():
        sets = {
            split: _of_classes(data / "cifar10_sample" / f"{split}.parquet", classes) for split in ("train", "test")
        }
        text = f"Colour photographs of 32 by 32 pixels, one of {', '.join(classes)} each."
        made[name] = _write(folder / name, f"photographs_{name}", text, classes, [32, 32, 3], sets, train, test)
    digits = _digits(data / "mnist_t10k")
    sets = {"train": digits[:train], "test": digits[train:]}
    text = "Grey handwritten digits of 28 by 28 pixels."
    made[DIGITS] = _write(folder / DIGITS, "digits", text, tuple(map(str, range(10))), [28, 28, 1], sets, train, test)
    return made


def _of_classes(path: Path, classes: Sequence[str]) -> Examples:
    table = pa_parquet.read_table(path, columns=["image", "name"])
    pairs = zip(table.column("image").to_pylist(), table.column("name").to_pylist(), strict=True)
    return [(image, classes.index(name)) for image, name in pairs if name in classes]


def _digits(folder: Path) -> Examples:
    pixels = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return [(_png(image), int(label)) for image, label in zip(pixels.reshape(-1, 28, 28), labels, strict=True)]


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def _write(
    folder: Path,
    name: str,
    text: str,
    classes: Sequence[str],
    shape: list[int],
    sets: Mapping[str, Examples],
    train: int,
    test: int,
) -> dict[str, Any]:
    folder.mkdir(parents=True)
    for split, count in (("train", train), ("test", test)):
        images, labels = zip(*sets[split][:count], strict=True)
        table = pa.table({"image": list(images), "label": [classes[label] for label in labels]})
        pa_parquet.write_table(table, folder / f"{split}.parquet")
    return {
        "name": name,
        "task": "classification",
        "input_type": "image",
        "metric": "accuracy",
        "description": text,
        "size": {"train": min(train, len(sets["train"]))},
        "label_space": {"column": "label", "classes": list(classes)},
        "image_shape": shape,
        "load": {
            "format": "parquet",
            "path": str(folder),
            "files": {"train": "train.parquet", "test": "test.parquet"},
            "image_column": "image",
        },
        "test_share": 0,
    }
