"""A Data Card from a file of data: what can be seen in it, and what its label is guessed to be.

Every number is counted over the whole file, in one pass and in bounded memory; the guesses (label
column, task, metric) are for a person to check. Importing this module does not import pyarrow.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_gpt_ray.cards.column_names import is_saved_index
from automl_gpt_ray.cards.data_card import Column, DataCard, InputType, LabelSpace, Loading, Task
from automl_gpt_ray.errors import CardError, Problem, did_you_mean, shown
from automl_gpt_ray.yaml_file import build

if TYPE_CHECKING:
    from automl_gpt_ray.cards.column_tally import ColumnTally
    from automl_gpt_ray.cards.csv_file import CsvFile
    from automl_gpt_ray.cards.parquet_file import ParquetFile

LABEL_NAMES = ("label", "labels", "target", "class", "y", "outcome", "response", "income")
SPLITS = frozenset({"train", "validation", "test"})
MAX_INTEGER_CLASSES = 20
"""Whole-numbered labels with more distinct values than this are taken for a quantity."""
RARE_SHARE = 0.1
"""A smaller of two classes with less than this share is judged by its ranking, not by accuracy."""
RARE_FACTOR = 0.2
"""Of several classes, one with less than this part of an even share makes them imbalanced."""
FEWEST_NAMES = 20
"""A column of fewer values, all different, is not taken for the names of rows."""
_WHOLE = re.compile(r"-?(0|[1-9]\d*)(\.0*)?")


def describe_file(path: str | Path, label: str | None = None, name: str | None = None) -> DataCard:
    """Return the Data Card of a CSV file (plain or gzipped) or a parquet file.

    Args:
        path: The file; its kind is recognised by its content.
        label: Column to be predicted. Guessed where None: a column named like a label
            (`LABEL_NAMES`), else the last one.
        name: Of the card; by default the file's.

    Raises:
        CardError: No such file, not a table, no usable label column.
    """
    file = Path(path).expanduser().resolve()
    table = _open(file, label)
    names = [n for n in table.names if not is_saved_index(n)]
    split = next((n for n in names if n.lower() == "split"), None)
    target = _label_column(file, names, label, {split, getattr(table, "image_column", None)})
    tallies = _tally(table, counted={target, split})
    split = split if split and _is_split(file, tallies[split]) else None
    _check_label(file, tallies[target])
    return _compose(file, name or _stem(file), table, tallies, target, split)


def _open(file: Path, label: str | None) -> CsvFile | ParquetFile:
    # pyarrow takes 150 ms to import; only this function needs it.
    from automl_gpt_ray.cards.csv_file import CsvFile
    from automl_gpt_ray.cards.parquet_file import ParquetFile

    try:
        with file.open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        detail = error.strerror or str(error)
        raise _error(file, Problem("(file)", "must be a readable file", detail, "check the path")) from None
    if not head:
        raise _error(file, Problem("(file)", "must hold rows", "an empty file", "check the path"))
    return ParquetFile(file) if head == b"PAR1" else CsvFile(file, label)


def _label_column(file: Path, names: list[str], label: str | None, excluded: set[str | None]) -> str:
    if label is not None and label not in names:
        raise _error(file, Problem("label", "must name a column", shown(label), did_you_mean(label, names)))
    usable = [n for n in names if n not in excluded]
    if len(names) < 2 or not usable:
        remedy = "check the separator, or add the missing columns"
        rule = "a label and at least one other column are needed"
        raise _error(file, Problem("columns", rule, shown(", ".join(names)) if names else "none", remedy))
    by_rank = {n.lower(): n for n in reversed(usable)}
    guessed = next((by_rank[n] for n in LABEL_NAMES if n in by_rank), usable[-1])
    return guessed if label is None else label


def _tally(table: CsvFile | ParquetFile, counted: set[str | None]) -> dict[str, ColumnTally]:
    from automl_gpt_ray.cards.column_tally import ColumnTally
    from automl_gpt_ray.cards.csv_file import CsvFile

    missing = Loading(format="csv").missing if isinstance(table, CsvFile) else []
    image = getattr(table, "image_column", None)
    tallies = {n: ColumnTally(n, missing, n in counted) for n in table.names if n != image}
    for batch in table.batches():
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            tallies[name].add(values)
    return tallies


def _is_split(file: Path, tally: ColumnTally) -> bool:
    if not tally.counts or not set(tally.counts) <= SPLITS or "train" not in tally.counts:
        return False
    if tally.missing_rows:
        rule, got = "must name the split of every row", f"{tally.missing_rows} rows without one"
        raise _error(file, Problem(f"column {tally.name}", rule, got, "fill it in, or remove these rows"))
    return True


def _check_label(file: Path, tally: ColumnTally) -> None:
    field, filled = f"label column {tally.name}", tally.rows - tally.missing_rows
    remedy = "name another column with `label`"
    if tally.rows == 0:
        raise _error(file, Problem("(file)", "must hold rows", "a header only", "check the path"))
    if filled == 0:
        raise _error(file, Problem(field, "must have values", "only missing ones", remedy))
    if tally.distinct == 1:
        raise _error(
            file, Problem(field, "needs at least two different values", shown(next(iter(tally.counts or {}))), remedy)
        )
    free_text = tally.type in ("category", "text") and (tally.counts is None or len(tally.counts) > filled / 2 > 5)
    if tally.type in ("date", "other") or free_text:
        got = f"{tally.distinct} different texts in {filled} rows" if free_text else f"a column of type {tally.type}"
        raise _error(file, Problem(field, "must hold classes or numbers", got, remedy))


def _compose(
    file: Path,
    name: str,
    table: CsvFile | ParquetFile,
    tallies: dict[str, ColumnTally],
    target: str,
    split: str | None,
) -> DataCard:
    label = tallies[target]
    features = [t for t in tallies.values() if t.name not in (target, split) and not is_saved_index(t.name)]
    task, shares = _task(label), _shares(label)
    image = getattr(table, "image_column", None)
    kind: InputType = "image" if image else _input_type(features)
    idle = _idle(features) if kind == "tabular" else []
    balance = {str(c): round(share, 6) for c, share in shares.items()} if task == "classification" else {}
    values = {
        "name": name,
        "task": task,
        "input_type": kind,
        "label_space": LabelSpace(column=target, classes=list(shares) if task == "classification" else []),
        "metric": _metric(task, balance),
        "size": dict(tallies[split].counts or {}) if split else {"train": label.rows - label.missing_rows},
        "description": _sentence(label, features, task, image) + _left_out(idle),
        "columns": [] if image else [_column(t) for t in (*features, label)],
        "label_balance": balance,
        "image_shape": getattr(table, "image_shape", None),
        "load": _loading(file, table, split, idle),
    }
    return build(DataCard, values, str(file), CardError)


def _task(label: ColumnTally) -> Task:
    if label.type != "number":
        return "classification"
    few = label.counts is not None and len(label.counts) <= MAX_INTEGER_CLASSES
    # A handful of rows has few distinct numbers whatever they mean.
    repeated = len(label.counts or ()) <= (label.rows - label.missing_rows) / 2
    return "classification" if label.whole and few and repeated else "regression"


def _shares(label: ColumnTally) -> dict[Any, float]:
    """Return classes and their shares of the labelled rows, in order; whole numbers as such, `1.0` as 1 too."""
    counts = label.counts or {}
    number = label.type == "number" and all(_WHOLE.fullmatch(str(value)) for value in counts)
    merged: Counter[Any] = Counter()
    for value, count in counts.items():
        name = int(str(value).split(".")[0]) if number else value if label.type == "boolean" else str(value)
        merged[name] += count
    return {name: merged[name] / merged.total() for name in sorted(merged)}


def _metric(task: Task, balance: dict[str, float]) -> str:
    if task != "classification":
        return "rmse"
    rarest = min(balance.values())
    if len(balance) == 2:
        return "roc_auc" if rarest < RARE_SHARE else "accuracy"
    return "balanced_accuracy" if rarest * len(balance) < RARE_FACTOR else "accuracy"


def _input_type(features: list[ColumnTally]) -> InputType:
    if any(t.type != "text" for t in features):
        return "tabular"
    return {1: "text", 2: "text_pair"}.get(len(features), "tabular")  # type: ignore[return-value]


def _column(tally: ColumnTally) -> Column:
    return Column(name=tally.name, type=tally.type, missing=tally.missing, distinct=tally.distinct)


def _idle(features: list[ColumnTally]) -> list[str]:
    """Return the columns that cannot help: one value in all rows or none in any, or names that tell rows apart."""
    found = [t.name for t in features if _says_nothing(t) or _names_rows(t)]
    return found if len(found) < len(features) else []


def _says_nothing(tally: ColumnTally) -> bool:
    return tally.missing_rows == tally.rows or (tally.distinct == 1 and not tally.missing_rows)


def _names_rows(tally: ColumnTally) -> bool:
    named = tally.type == "category" or (tally.whole and tally.name.lower().split("_")[-1].split()[-1:] == ["id"])
    return named and tally.distinct == tally.rows >= FEWEST_NAMES


def _left_out(idle: list[str]) -> str:
    if not idle:
        return ""
    told = ", ".join(f"`{name}`" for name in idle)
    return f" Not used, since the same in all rows or different in each: {told}."


def _loading(file: Path, table: CsvFile | ParquetFile, split: str | None, idle: list[str]) -> Loading:
    from automl_gpt_ray.cards.csv_file import CsvFile

    told: dict[str, Any] = {"path": str(file), "split_column": split}
    unused = [*filter(is_saved_index, table.names), *idle]
    if not isinstance(table, CsvFile):
        return Loading(format="parquet", image_column=table.image_column, drop=unused, **told)
    columns = [] if table.has_header else table.names
    told |= {"decimal": table.style.decimal, "thousands": table.style.thousands}
    return Loading(format="csv", columns=columns, drop=unused, **told)


def _sentence(label: ColumnTally, features: list[ColumnTally], task: Task, image: str | None) -> str:
    unlabelled = f"; {label.missing_rows:,} rows have no label and are left out" if label.missing_rows else ""
    target = (
        f"label `{label.name}` with {label.distinct} classes"
        if task == "classification"
        else f"numeric label `{label.name}`"
    )
    if image:
        return f"{label.rows:,} images in column `{image}`, {target}{unlabelled}."
    kinds = [t.type for t in features]
    counted = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
    missing = sum(t.missing_rows for t in features) / max(1, label.rows * len(features))
    shape = f"{label.rows:,} rows and {len(features)} features ({counted})"
    return f"A table of {shape}, {target}; {missing:.1%} of values missing{unlabelled}."


def _stem(file: Path) -> str:
    return file.name.split(".")[0] or file.name


def _error(file: Path, problem: Problem) -> CardError:
    return CardError(str(file), [problem])
