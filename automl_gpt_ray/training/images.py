"""Images: a Data Card as the train, validation and test splits of an array of images.

Knows sources, splits and labels; nothing of models or augmentation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_gpt_ray.cards import DataCard, Loading
from automl_gpt_ray.errors import DataError, Problem, shown
from automl_gpt_ray.training import bundled, fetch, labels, splits
from automl_gpt_ray.training.image_files import Pixels, images_in, read_folder, read_idx, read_parquet
from automl_gpt_ray.training.labels import Labels

FORMATS = ("sklearn", "parquet", "idx", "image_folder")


@dataclass(frozen=True)
class Images:
    """One split of a set of images.

    Attributes:
        pixels: Shape (n, height, width, channels), 0..255.
        labels: Shape (n,), class indices.
    """

    pixels: Pixels
    labels: Labels

    def joined_with(self, other: Images) -> Images:
        """Return the images of both, these first."""
        return Images(np.concatenate([self.pixels, other.pixels]), np.concatenate([self.labels, other.labels]))


def load_images(card: DataCard, wanted: Collection[str], seed: int) -> dict[str, Images]:
    """Return the splits in `wanted`; sources of splits that are not wanted are not read.

    IDX files are named by the keys `train_images`, `train_labels`, `test_images`, ... of `files`.

    Args:
        card: Describes the images; `load.path` is absolute.
        wanted: Some of `train`, `validation`, `test`.
        seed: Of the hold-outs where the data set has no split of its own.

    Raises:
        DataError: With what was found wrong.
    """
    official = _official(card)
    if wrong := _split_problem(official):
        raise DataError(card.name, [wrong])
    sources = {
        split: _source(card, split) for split in splits.SPLITS if split in official and split in {*wanted, "train"}
    }
    _check_shapes(card, sources)
    shared = splits.shared_out(card, sources["train"].labels, official, seed)
    return {split: _split(card, sources, shared, split) for split in wanted}


def _split(card: DataCard, sources: Mapping[str, Images], shared: Mapping[str, splits.Rows], split: str) -> Images:
    if split in shared:
        rows = shared[split]
        return Images(sources["train"].pixels[rows], sources["train"].labels[rows])
    if split not in sources:
        raise splits.no_such_split(card, split, {*shared, *sources})
    return sources[split]


def _source(card: DataCard, split: str) -> Images:
    pixels, raw = _read(card, split)
    if not len(raw):
        raise DataError(card.name, [Problem(split, "the split must hold at least one image", "none", "add images")])
    field = f"{split}.{card.label_space.column or 'label'}"
    found, problems = labels.encode(raw, card, field)
    problems = problems or (labels.one_class(found, card, field) if split == "train" else [])
    if problems:
        raise DataError(card.name, problems)
    return Images(pixels, found)


def _read(card: DataCard, split: str) -> tuple[Pixels, list[Any]]:
    load = _loading(card)
    if load.format == "sklearn":
        return bundled.images(card)
    if load.format == "image_folder":
        folder = _folder(card, load)
        flat = not load.files and not _split_folders(folder)
        return read_folder(folder if flat else folder / load.files.get(split, split), card)
    if load.format == "idx":
        keys = (f"{split}_images", f"{split}_labels")
        files = fetch.find_files(card, only=frozenset(keys))
        return read_idx(files[keys[0]], files[keys[1]], card)
    if not load.files:
        return read_parquet(Path(load.path or "").expanduser(), card)
    return read_parquet(fetch.find_files(card, only=frozenset({split}))[split], card)


def _official(card: DataCard) -> frozenset[str]:
    """Return the names of the splits that the source has of its own."""
    load = _loading(card)
    if load.format == "idx":
        return frozenset(s for s in splits.SPLITS if {f"{s}_images", f"{s}_labels"} <= set(load.files))
    if load.files:
        return frozenset(load.files)
    if load.format == "image_folder":
        folder = _folder(card, load)
        # Folders of classes without those of splits are all training data, as data set hubs read them.
        return _split_folders(folder) or frozenset({"train"} if images_in(folder) else ())
    if load.format == "parquet" and not Path(load.path or "").expanduser().is_file():
        rule = "must be a Parquet file, or a folder with `load.files` naming those in it"
        raise DataError(card.name, [Problem("load.path", rule, shown(load.path), "correct the path or add `files`")])
    return frozenset({"train"})


def _split_folders(folder: Path) -> frozenset[str]:
    return frozenset(split for split in splits.SPLITS if (folder / split).is_dir())


def _folder(card: DataCard, load: Loading) -> Path:
    folder = Path(load.path).expanduser() if load.path else None
    if folder is None or not folder.is_dir():
        rule = "must be a folder arranged as class/file.png or split/class/file.png"
        remedy = "correct the path or set `data.path` in the job"
        raise DataError(card.name, [Problem("load.path", rule, shown(load.path), remedy)])
    return folder


def _loading(card: DataCard) -> Loading:
    if card.load is None or card.load.format not in FORMATS:
        rule = f"must be one of {', '.join(FORMATS)} for images"
        raise DataError(card.name, [Problem("load.format", rule, shown(card.load.format if card.load else None))])
    return card.load


def _split_problem(official: Collection[str]) -> Problem | None:
    unknown = sorted(set(official) - set(splits.SPLITS))
    if not unknown and "train" in official:
        return None
    rule = "there must be a `train` split, and may be `validation` and `test`"
    got = shown(unknown[0]) if unknown else ", ".join(sorted(official)) or "none"
    return Problem("load.files", rule, got, "name the splits so (`train_images` and `train_labels` for idx)")


def _check_shapes(card: DataCard, sources: Mapping[str, Images]) -> None:
    expected = card.image_shape or sources["train"].pixels.shape[1:]
    rule = f"images must have the shape {tuple(expected)}"
    problems = [
        Problem(split, rule, str(images.pixels.shape[1:]), "correct `image_shape` or the data")
        for split, images in sources.items()
        if images.pixels.shape[1:] != tuple(expected)
    ]
    if problems:
        raise DataError(card.name, problems)
