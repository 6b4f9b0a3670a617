"""Tables: a Data Card as the train, validation and test splits of a table.

Knows files, splits and labels; nothing of preprocessing or models.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import union_categoricals

from automl_gpt_ray.cards import DataCard, Loading
from automl_gpt_ray.errors import DataError, Problem, did_you_mean, shown
from automl_gpt_ray.training import bundled, fetch, labels, splits
from automl_gpt_ray.training.fairness import check_groups
from automl_gpt_ray.training.features import kinds_of
from automl_gpt_ray.training.labels import Labels
from automl_gpt_ray.training.table_files import Types, as_frame, kind_of, read_file

_LOG = logging.getLogger(__name__)
_ENDINGS = {"csv": (".csv", ".csv.gz"), "parquet": (".parquet",)}


@dataclass(frozen=True)
class Table:
    """One split of a table.

    Attributes:
        features: Float64 columns and pandas categories of text, one row an example.
        labels: Class indices or targets, one a row.
        groups: Categories of the columns that the card's `groups` name, one row an example.
    """

    features: pd.DataFrame
    labels: Labels
    groups: pd.DataFrame

    def joined_with(self, other: Table) -> Table:
        """Return the rows of both, these first."""
        frames = (
            pd.DataFrame({name: _joined(mine[name], its[name]) for name in mine})
            for mine, its in ((self.features, other.features), (self.groups, other.groups))
        )
        features, groups = frames
        return Table(features, np.concatenate([self.labels, other.labels]), groups)

    def rows(self, chosen: splits.Rows) -> Table:
        """Return the rows at these places."""
        features, groups = (frame.iloc[chosen].reset_index(drop=True) for frame in (self.features, self.groups))
        return Table(features, self.labels[chosen], groups)


def load_table(card: DataCard, wanted: Collection[str], seed: int) -> dict[str, Table]:
    """Return the splits in `wanted`; files of splits that are not wanted are not read.

    Args:
        card: Describes the table; `load.path` is absolute.
        wanted: Some of `train`, `validation`, `test`.
        seed: Of the hold-outs where the data set has no split of its own.

    Raises:
        DataError: With what was found wrong.
    """
    sources, official = _sources(card, wanted)
    kinds = kinds_of(card, sources["train"].schema)
    tables = _tables(card, sources, kinds)
    shared = splits.shared_out(card, tables["train"].labels, official, seed)
    found = {split: _split(card, tables, shared, split) for split in wanted}
    for split, table in found.items():
        check_groups(card, table.groups, split)
    return found


def _joined(a: pd.Series[Any], b: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(a.dtype, pd.CategoricalDtype):
        return pd.Series(union_categoricals([a, b]))
    return pd.concat([a, b], ignore_index=True)


def _split(card: DataCard, tables: Mapping[str, Table], shared: Mapping[str, splits.Rows], split: str) -> Table:
    if split in shared:
        return tables["train"].rows(shared[split])
    if split not in tables:
        raise splits.no_such_split(card, split, {*shared, *tables})
    return tables[split]


def _tables(card: DataCard, sources: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    problems: list[Problem] = []
    missing = frozenset(card.load.missing) if card.load and card.load.format == "csv" else frozenset[str]()
    for split, whole in sources.items():
        source = _labelled(card, whole, split)
        try:
            groups = as_frame(source, dict.fromkeys(card.groups, "category"), missing, split)
            tables[split] = Table(as_frame(source, kinds, missing, split), _labels(card, source, split), groups)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(card.name, problems)
    return tables


def _labelled(card: DataCard, source: Any, split: str) -> Any:
    """Return the rows that have a label; the others can teach and judge nothing."""
    name = card.label_space.column or bundled.LABEL
    if name not in source.column_names:
        return source  # `_labels` says so
    absent = pc.is_null(source.column(name), nan_is_null=True)
    count = pc.sum(absent).as_py() or 0
    if not count:
        return source
    _LOG.warning("%s: %d of %d rows of `%s` have no label: skipped", card.name, count, source.num_rows, split)
    return source.filter(pc.invert(absent))


def _labels(card: DataCard, source: Any, split: str) -> Labels:
    name = card.label_space.column or bundled.LABEL
    field = f"{split}.{name}"
    problem = _label_problem(source, name, field)
    if problem:
        raise DataError(card.name, [problem])
    found, problems = labels.encode(source.column(name).to_pylist(), card, field)
    problems = problems or (labels.one_class(found, card, field) if split == "train" else [])
    if problems:
        raise DataError(card.name, problems)
    return found


def _label_problem(source: Any, name: str, field: str) -> Problem | None:
    if name not in source.column_names:
        remedy = did_you_mean(name, source.column_names[:20]) or "correct `label_space.column`"
        return Problem(field, "the label column must exist", "no such column", remedy)
    if not source.num_rows:
        return Problem(
            field, "the split must hold at least one example with a label", "none", "add data or remove the split"
        )
    if kind_of(source.schema.field(name).type) is None:
        return Problem(field, "labels must be texts or numbers", str(source.schema.field(name).type))
    return None


def _sources(card: DataCard, wanted: Collection[str]) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the Arrow table of each split that the source has and that is needed, and the names of all."""
    load = card.load
    if load is not None and load.format == "sklearn":
        return {"train": bundled.table(card)}, frozenset({"train"})
    if load is None or load.format not in _ENDINGS:
        rule = "must be `csv`, `parquet` or `sklearn` for a table"
        raise DataError(card.name, [Problem("load.format", rule, shown(load.format if load else None))])
    located = card if load.files else _discovered(card, load)
    single = _single_file(load)
    if single is not None:
        return _by_column(card, read_file(single, card, _declared(card)))
    return _by_file(located, wanted)


def _single_file(load: Loading) -> Path | None:
    path = Path(load.path).expanduser() if load.path else None
    return path if path is not None and path.is_file() else None


def _by_file(card: DataCard, wanted: Collection[str]) -> tuple[dict[str, Any], frozenset[str]]:
    official = frozenset(card.load.files if card.load else ())
    wrong = sorted(official - set(splits.SPLITS)) or ([] if "train" in official else ["(no train)"])
    if wrong:
        rule = "`files` must name a `train` split, and may name `validation` and `test`"
        raise DataError(card.name, [Problem("load.files", rule, shown(wrong[0]))])
    files = fetch.find_files(card, only=frozenset({"train", *wanted}))
    sources = {"train": read_file(files["train"], card, _declared(card))}
    types = _declared(card) or {}
    # What was read as a number, or as text, in the training file is read as that in every file.
    types = {**_inferred(sources["train"].schema), **types}
    sources.update({split: read_file(path, card, types) for split, path in files.items() if split != "train"})
    return sources, official


def _by_column(card: DataCard, table: Any) -> tuple[dict[str, Any], frozenset[str]]:
    name = card.load.split_column if card.load else None
    if name is None:
        return {"train": table}, frozenset({"train"})
    if name not in table.column_names:
        remedy = did_you_mean(name, table.column_names[:20])
        raise DataError(card.name, [Problem("load.split_column", "the column must exist", shown(name), remedy)])
    texts = [str(value).strip() for value in table.column(name).to_pylist()]
    wrong = sorted(set(texts) - set(splits.SPLITS)) or ([] if "train" in texts else ["no train"])
    if wrong:
        rule = "must say `train`, `validation` or `test` in every row, and `train` in some"
        raise DataError(card.name, [Problem(f"train.{name}", rule, shown(wrong[0]))])
    names = list(dict.fromkeys(texts))
    return {split: table.filter(pa.array([text == split for text in texts])) for split in names}, frozenset(names)


def _discovered(card: DataCard, load: Loading) -> DataCard:
    """Return the card with `files` filled in from a folder that holds `train.csv` and the like."""
    if not load.path:
        raise DataError(card.name, [Problem("load.path", "a table needs `path` or `files`", remedy="add one")])
    folder = Path(load.path).expanduser()
    names = {split: _first(folder, (split + ending for ending in _ENDINGS[load.format])) for split in splits.SPLITS}
    files = {split: name for split, name in names.items() if name}
    if not files and not folder.is_file():
        got = shown(load.path) + ("" if folder.exists() else " (no such file or folder)")
        rule = f"must be a {load.format} file, or a folder that holds `train{_ENDINGS[load.format][0]}`"
        raise DataError(card.name, [Problem("load.path", rule, got, "correct the path or set `data.path` in the job")])
    return card.model_copy(update={"load": load.model_copy(update={"files": files})})


def _first(folder: Path, names: Iterable[str]) -> str | None:
    return next((name for name in names if (folder / name).is_file()), None)


def _declared(card: DataCard) -> dict[str, Any]:
    types = {"number": pa.float64(), "category": pa.string(), "text": pa.string()}
    return {column.name: types[column.type] for column in card.columns if column.type in types}


def _inferred(schema: Any) -> Types:
    def wide(arrow_type: Any) -> Any:
        if pa.types.is_integer(arrow_type):
            return pa.float64()
        return pa.string() if pa.types.is_null(arrow_type) else arrow_type

    return {field.name: wide(field.type) for field in schema}
