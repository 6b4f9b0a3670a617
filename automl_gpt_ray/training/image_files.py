"""Image files: IDX (MNIST), Parquet with encoded images, and folders, as arrays and raw labels.

Knows one source at a time; nothing of splits or models. Whatever cannot be read becomes a DataError.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pa_parquet
from PIL import Image

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import DataError, Problem, did_you_mean, shown
from automl_gpt_ray.training.fetch import unpacked

Pixels = npt.NDArray[np.uint8]
"""Shape (images, height, width, channels), 0..255."""

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
_IDX_UBYTE = 0x08
_UNREADABLE = (OSError, ValueError, TypeError, AttributeError, SyntaxError, Image.DecompressionBombError)
_MODES = {1: "L", 3: "RGB"}


def read_idx(images: Path, labels: Path, card: DataCard) -> tuple[Pixels, list[Any]]:
    """Return the images and labels of a pair of IDX files, packed or not.

    Raises:
        DataError: One cannot be read, or their lengths differ.
    """
    pixels, raw = _idx(images, card, 3), _idx(labels, card, 1)
    if len(pixels) != len(raw):
        rule = "must hold one label for each image"
        raise DataError(card.name, [Problem(str(labels), rule, f"{len(raw)} labels for {len(pixels)} images")])
    return pixels[..., None], raw.tolist()


def read_parquet(path: Path, card: DataCard) -> tuple[Pixels, list[Any]]:
    """Return the images and labels of a Parquet file with encoded images.

    A column of structs with a field `bytes`, as data set hubs write it, is read too.

    Raises:
        DataError: It cannot be read, lacks a column, or holds what is no image.
    """
    image, label = (card.load.image_column if card.load else None) or "image", card.label_space.column or "label"
    try:
        # The file's schema and not the table's: only the two columns are ever read.
        names = pa_parquet.read_schema(path).names
        absent = [name for name in (image, label) if name not in names]
        if absent:
            remedy = did_you_mean(absent[0], names[:20])
            raise DataError(card.name, [Problem(f"{path}", "the column must exist", shown(absent[0]), remedy)])
        table = pa_parquet.read_table(path, columns=[image, label], use_threads=False)
        cells, labels = table.column(image).to_pylist(), table.column(label).to_pylist()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(card.name, [Problem(str(path), "must be a readable Parquet file", shown(str(error)))]) from None
    encoded = [cell.get("bytes") if isinstance(cell, dict) else cell for cell in cells]
    return decode(((f"{path} row {i + 1}", one) for i, one in enumerate(encoded)), card), labels


def read_folder(folder: Path, card: DataCard) -> tuple[Pixels, list[Any]]:
    """Return the images below `folder`, whose subfolders are named after the classes.

    Raises:
        DataError: It holds no subfolder with images, or what is no image.
    """
    files = images_in(folder)
    if not files:
        rule = "must hold a folder for each class, with images in it"
        raise DataError(card.name, [Problem(str(folder), rule, "no such image", "arrange it as split/class/file.png")])
    pixels = decode(((str(file), file) for file in files), card)
    return pixels, [file.parent.name for file in files]


def images_in(folder: Path) -> list[Path]:
    """Return the files of images in the subfolders of `folder`, in order."""
    return sorted(f for f in folder.glob("*/*") if f.suffix.lower() in ENDINGS)


def decode(encoded: Iterable[tuple[str, Any]], card: DataCard) -> Pixels:
    """Return encoded images as one array.

    Args:
        encoded: For each, where it stands, and its bytes or path.
        card: Says the shape, else it is the first image's size, in colour where any image is; images of another
            size are resized bilinearly.

    Raises:
        DataError: Naming all that are no image.
    """
    sources = list(encoded)
    if not sources:
        raise DataError(card.name, [Problem("images", "the split must hold at least one image", "none")])
    problems: list[Problem] = []
    shape = card.image_shape or _common_shape(sources)
    pixels = np.empty((len(sources), *shape), dtype=np.uint8)
    for number, (place, source) in enumerate(sources):
        try:
            pixels[number] = _array(_opened(source), *shape)
        except _UNREADABLE as error:
            got = shown(str(error) or type(error).__name__)
            problems.append(Problem(place, "must be a readable image", got, "remove it"))
    if problems:
        raise DataError(card.name, problems)
    return pixels


def in_mode(image: Any, mode: str) -> Any:
    """Return an opened image in Pillow's mode `mode`, of 8 bits; grey ones of 16 bits keep their shades."""
    if _deep(image):
        # Pillow's own conversion of 16 bits would cut all above 255 off.
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _common_shape(sources: Iterable[tuple[str, Any]]) -> tuple[int, int, int]:
    first, channels = None, 1
    for _, source in sources:
        try:
            # Opening reads the header only.
            with _opened(source) as image:
                first, channels = first or (image.height, image.width), max(channels, _channels(image))
        except _UNREADABLE:
            continue
        if channels > 1:
            break
    return (*(first or (1, 1)), channels)


def _opened(source: Any) -> Any:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def _array(image: Any, height: int, width: int, channels: int) -> Pixels:
    mode = _MODES.get(channels)
    if mode is None:
        raise ValueError(f"images of {channels} channels cannot be decoded; `image_shape` must end in 1 or 3")
    image = in_mode(image, mode)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    array: Pixels = np.asarray(image, dtype=np.uint8)
    return array.reshape(height, width, channels)


def _channels(image: Any) -> int:
    return 1 if image.mode in ("1", "L", "F") or _deep(image) else 3


def _deep(image: Any) -> bool:
    """Return whether the image is grey of 16 bits, in either order of its bytes."""
    return bool(image.mode.startswith("I"))


def _idx(path: Path, card: DataCard, axes: int) -> Pixels:
    """Return the array of an IDX file: magic 0x00000800 + axes, big-endian sizes, then bytes."""
    try:
        content = unpacked(path)
        zero, kind, found = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{found}I", content[4 : 4 + 4 * found])
    except (OSError, struct.error) as error:
        raise DataError(card.name, [Problem(str(path), "must be a readable IDX file", shown(str(error)))]) from None
    start = 4 + 4 * found
    if (zero, kind, found) != (0, _IDX_UBYTE, axes) or len(content) - start != math.prod(shape):
        rule = f"must be an IDX file of bytes with {axes} ax{'i' if axes == 1 else 'e'}s"
        got = f"{found} axes of {shape} and {len(content) - start} bytes"
        raise DataError(card.name, [Problem(str(path), rule, got, "fetch it again")])
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
