"""The check of a data set before any trial: everything that is wrong with it, in one error.

Reads the data as the trainers will, so that nothing is found wrong later than here. Imports
neither PyTorch nor XGBoost.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import DataError, Problem
from automl_gpt_ray.training import fetch, splits


def check_data(card: DataCard, seed: int = 0, metric: str | None = None) -> dict[str, int]:
    """Read a data set in full, fetching absent files, and return the size of each split.

    Args:
        card: Describes it; `load.path` is absolute.
        seed: Of the hold-outs.
        metric: What trials will be compared by: the validation data must give it a value.

    Returns:
        Split name to number of examples, as trained on: hold-outs are taken from `train`. For a
        card whose trainable loads its own data, the card's own sizes.

    Raises:
        DataError: With every problem found.
    """
    if card.load is None or card.load.format == "custom":
        return dict(card.size)
    # A path to one file stands for all of `files`; a folder of images is read as it is.
    named = (
        card.load.files
        and card.load.format not in ("image_folder", "coco")
        and not Path(card.load.path or "").is_file()
    )
    problems = _file_problems(card) if named else []
    if problems:
        raise DataError(card.name, problems)
    return _sizes(card, seed, metric)


def _file_problems(card: DataCard) -> list[Problem]:
    try:
        return fetch.md5_problems(card, fetch.find_files(card))
    except DataError as error:
        return list(error.problems)


def _sizes(card: DataCard, seed: int, metric: str | None) -> dict[str, int]:
    loaded = _read(card, seed, ("train", "validation", "test"), metric)
    return {split: size for split in splits.SPLITS if (size := loaded.get(split))}


def _read(card: DataCard, seed: int, wanted: tuple[str, ...], metric: str | None) -> dict[str, int]:
    try:
        return _lengths(card, seed, wanted, metric)
    except DataError as error:
        # A data set may have no test split; whoever asks for its scores is told so then.
        if [problem.field for problem in error.problems] != ["load.files.test"] or "test" not in wanted:
            raise
        return _lengths(card, seed, wanted[:-1], metric)


def _lengths(card: DataCard, seed: int, wanted: tuple[str, ...], metric: str | None) -> dict[str, int]:
    if card.task == "object_detection":
        from automl_gpt_ray.training.average_precision import METRICS, is_defined
        from automl_gpt_ray.training.scenes import check_pictures, load_scenes  # as below

        scenes = load_scenes(card, wanted, seed)
        check_pictures(card, scenes)
        if metric in METRICS and not is_defined(metric, scenes["validation"]):
            _no_value(card, metric, f"no object that it is about in {len(scenes['validation'])} pictures")
        return {split: len(found) for split, found in scenes.items()}
    if card.task == "retrieval":
        from automl_gpt_ray.training.passages import load_questions

        return {split: len(questions) for split, questions in load_questions(card, wanted, seed)[1].items()}
    labels = _labels(card, seed, wanted)
    if metric:
        _check_scored(card, labels["validation"], metric)
    return {split: len(found) for split, found in labels.items()}


def _labels(card: DataCard, seed: int, wanted: tuple[str, ...]) -> dict[str, Any]:
    if card.input_type == "image":
        from automl_gpt_ray.training.images import load_images  # Pillow is needed for images only

        return {split: images.labels for split, images in load_images(card, wanted, seed).items()}
    if card.input_type in ("text", "text_pair"):
        from automl_gpt_ray.training.texts import load_texts

        return {split: texts.labels for split, texts in load_texts(card, wanted, seed).items()}
    from automl_gpt_ray.training.tables import load_table

    return {split: table.labels for split, table in load_table(card, wanted, seed).items()}


def _check_scored(card: DataCard, labels: Any, metric: str) -> None:
    """Raise DataError where not even perfect predictions have a value: all trials would seem to diverge."""
    from automl_gpt_ray.training.scores import scores

    perfect = labels if card.task == "regression" else np.eye(len(card.label_space.classes))[labels]
    if math.isnan(scores(card, labels, perfect).get(metric, 0.0)):
        _no_value(card, metric, f"{len(np.unique(labels))} kind of label in {len(labels)} examples")


def _no_value(card: DataCard, metric: str, got: str) -> NoReturn:
    rule = f"`{metric}` must have a value on it"
    remedy = "hold out more or other examples (`validation_share`), or name another metric"
    raise DataError(card.name, [Problem("validation", rule, got, remedy)])
