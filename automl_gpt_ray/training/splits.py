"""Splits: which examples train a model, which choose it, and which judge it at the end.

Knows only labels and shares; the same seed always gives the same split.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import DataError, Problem
from automl_gpt_ray.training.labels import Labels

Rows = npt.NDArray[np.int64]
"""Shape (rows,): positions of examples, ascending."""

SPLITS = ("train", "validation", "test")


def shared_out(card: DataCard, train: Labels, official: Collection[str], seed: int) -> dict[str, Rows]:
    """Return the rows of the source's `train` split that each split gets.

    `train` gives up `test_share` of its rows where there is no official `test`, and then
    `validation_share` of the rest where there is no official `validation`; stratified by class.

    Args:
        card: Says the shares and the task.
        train: Labels of the source's `train` split.
        official: The splits that the source has of its own.
        seed: Of the hold-outs.

    Raises:
        DataError: A split would be empty.
    """
    held = _held_out(card, train, official, seed)
    rule, got = "must hold at least one example", f"{len(train)} examples in `train` to share out"
    problems = [
        Problem(f"size.{split}", rule, got, "add data or change the share") for split in held if not len(held[split])
    ]
    if problems:
        raise DataError(card.name, problems)
    return held


def no_such_split(card: DataCard, split: str, known: Collection[str]) -> DataError:
    """Return the error of asking for a split that a data set does not have."""
    rule = f"a `{split}` split must be given by `load.files` or by `{split}_share`"
    got = f"only {', '.join(sorted(known))}"
    return DataError(card.name, [Problem(f"load.files.{split}", rule, got, "add the split to the Data Card")])


def _held_out(card: DataCard, train: Labels, official: Collection[str], seed: int) -> dict[str, Rows]:
    rest = np.arange(len(train))
    held: dict[str, Rows] = {}
    for number, (split, share) in enumerate((("test", card.test_share), ("validation", card.validation_share))):
        if split in official or share == 0:
            continue
        rng = np.random.default_rng([seed, number])
        chosen = _sample(train[rest], share, card.task == "classification", rng)
        held[split] = rest[chosen]
        rest = np.delete(rest, chosen)
    return {**held, "train": rest}


def _sample(labels: Labels, share: float, stratified: bool, rng: np.random.Generator) -> Rows:
    """Return a sorted random share of the rows; of each class its own share, when `stratified`."""
    order = rng.permutation(len(labels))
    if stratified:
        order = order[np.argsort(labels[order], kind="stable")]
    # Taking every 1/share-th of the rows in order of class gives each class its share to within one.
    count = round(share * len(labels))
    positions = ((np.arange(count) + rng.random()) * (len(labels) / max(count, 1))).astype(np.int64)
    return np.sort(order[positions])
