"""Texts: a Data Card as the train, validation and test splits of labelled texts, or pairs of them.

Read as tables are; knows nothing of tokens or models.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.cards.data_card import Column
from automl_gpt_ray.errors import DataError, Problem, shown
from automl_gpt_ray.training.labels import Labels
from automl_gpt_ray.training.tables import Table, load_table

DEFAULT_COLUMN = "text"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Texts:
    """One split of a set of texts.

    Attributes:
        texts: One or two texts an example.
        labels: Shape (n,), class indices or targets.
        skipped: Examples left out because they had no text.
    """

    texts: list[tuple[str, ...]]
    labels: Labels
    skipped: int = 0

    def joined_with(self, other: Texts) -> Texts:
        """Return the texts of both, these first."""
        labels = np.concatenate([self.labels, other.labels])
        return Texts([*self.texts, *other.texts], labels, self.skipped + other.skipped)


def load_texts(card: DataCard, wanted: Collection[str], seed: int) -> dict[str, Texts]:
    """Return the splits in `wanted`; examples without text are left out, counted and logged.

    Args:
        card: Describes the texts; `load.text_columns` names their columns.
        wanted: Some of `train`, `validation`, `test`.
        seed: Of the hold-outs where the data set has no split of its own.

    Raises:
        DataError: With what was found wrong.
    """
    names = text_columns(card)
    declared = [column for column in card.columns if column.name not in names]
    columns = [Column(name=name, type="text") for name in names]
    tables = load_table(card.model_copy(update={"columns": [*declared, *columns]}), wanted, seed)
    return {split: _texts(card, table, names, split) for split, table in tables.items()}


def text_columns(card: DataCard) -> list[str]:
    """Return the names of the columns with text: the card's, else those it declares as text, else `text`."""
    if card.load and card.load.text_columns:
        return card.load.text_columns
    declared = [column.name for column in card.columns if column.type == "text"]
    return declared[:2] if card.input_type == "text_pair" else declared[:1] or [DEFAULT_COLUMN]


def _texts(card: DataCard, table: Table, names: list[str], split: str) -> Texts:
    absent = [name for name in names if name not in table.features]
    if absent:
        rule, remedy = "the column with the text must exist", "correct `load.text_columns`"
        got = shown(", ".join(map(str, table.features))) if len(table.features.columns) else "no column but the label"
        raise DataError(card.name, [Problem(f"{split}.{absent[0]}", rule, got, remedy)])
    # The first of a pair must be there; the second may be empty.
    present = table.features[names[0]].notna().to_numpy()
    if not present.any():
        rule = "the column must hold texts"
        raise DataError(card.name, [Problem(f"{split}.{names[0]}", rule, "only missing ones", "check the file")])
    skipped = int((~present).sum())
    if skipped:
        _LOG.warning("%s: %d of %d examples of `%s` have no text: skipped", card.name, skipped, len(present), split)
    columns = [table.features[name].astype(object).to_numpy()[present] for name in names]
    texts = [tuple(value if isinstance(value, str) else "" for value in row) for row in zip(*columns, strict=True)]
    return Texts(texts, table.labels[present], skipped)
