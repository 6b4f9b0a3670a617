"""Features: which columns of a table a model is given, and of which kind each is.

Knows the card and the types of the columns; nothing of their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.cards.column_names import is_saved_index
from automl_gpt_ray.errors import DataError, Problem, did_you_mean, shown
from automl_gpt_ray.training import bundled
from automl_gpt_ray.training.table_files import kind_of


def kinds_of(card: DataCard, schema: Any) -> dict[str, str]:
    """Return each feature's name and kind, as the card declares it or the training data shows it.

    Raises:
        DataError: There is none, or the card names a column that is not there.
    """
    load = card.load
    problems = list(_absent(card, schema.names))
    if problems:
        raise DataError(card.name, problems)
    declared = {column.name: column.type for column in card.columns}
    hidden = {
        card.label_space.column or bundled.LABEL,
        *(load.drop if load else ()),
        load.split_column if load else None,
        *(name for name in schema.names if is_saved_index(name) and name not in declared),
    }
    kinds = {field.name: _kind(declared.get(field.name), field.type) for field in schema if field.name not in hidden}
    usable = {name: kind for name, kind in kinds.items() if kind is not None}
    if not usable:
        rule = "at least one column besides the label must be a number, a text or a date"
        raise DataError(card.name, [Problem("columns", rule, ", ".join(map(shown, kinds)) or "none")])
    return usable


def _absent(card: DataCard, names: list[str]) -> Iterator[Problem]:
    """Yield a problem for each column that the card drops or declares, and that the training data lacks."""
    # The texts of a text and the label are asked for elsewhere; an index may be saved in one file and not in the next.
    declared = [column.name for column in card.columns] if card.input_type == "tabular" else []
    fields = {"load.drop": card.load.drop if card.load else [], "columns": declared}
    known = {*names, card.label_space.column}
    for field, told in fields.items():
        for name in told:
            if name not in known and not is_saved_index(name):
                remedy = did_you_mean(name, names[:200])
                yield Problem(field, "must name columns of the training data", shown(name), remedy)


def _kind(declared: str | None, found: Any) -> str | None:
    kind = kind_of(found)
    if kind is None or declared == "other":
        return None
    return "category" if declared in ("category", "text") else kind
