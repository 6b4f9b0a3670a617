"""Table files: one CSV or Parquet file as an Arrow table, and Arrow columns as pandas ones.

Knows nothing of splits or labels. Whatever Arrow cannot read becomes a DataError.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from automl_gpt_ray.cards import DataCard, Loading
from automl_gpt_ray.cards.column_names import repeated
from automl_gpt_ray.cards.number_text import NumberStyle, is_text
from automl_gpt_ray.errors import DataError, Problem, shown
from automl_gpt_ray.training.fetch import unpacked

Types = Mapping[str, Any]
"""Column name to Arrow type."""

_PARQUET = b"PAR1"
# Missing values may be padded; Arrow compares whole texts.
_BLANKS = tuple(" " * count for count in range(9))
_LARGEST = float(np.finfo(np.float32).max)
_DELIMITERS = (b",", b";", b"\t", b"|")


def read_file(path: Path, card: DataCard, types: Types) -> Any:
    """Return the Arrow table that `path` holds.

    Args:
        path: A Parquet or CSV file, perhaps gzipped; its kind is recognised by its content.
        card: Says how CSV is written; its label column is read as text.
        types: Types that CSV columns must have; others are inferred.

    Raises:
        DataError: It cannot be read, is no UTF-8 text, repeats a column name, or is not of these types.
    """
    try:
        table = _read(path, card, types)
        names = table.column_names
    except (OSError, pa.ArrowException, ValueError) as error:
        rule = "must be a readable table of the form that the card states"
        raise DataError(
            card.name, [Problem(str(path), rule, shown(str(error)), "correct the file or the card")]
        ) from None
    if twice := repeated(names):
        raise DataError(card.name, [Problem(str(path), "column names must differ", shown(twice[0]), "rename one")])
    return table


def as_frame(table: Any, kinds: Mapping[str, str], missing: frozenset[str], field: str) -> pd.DataFrame:
    """Return the columns named in `kinds`: `number` as float64, `category` as pandas categories of text.

    Missing, infinite numbers and those beyond 32 bits become NaN; dates and times become seconds since 1970.

    Raises:
        DataError: A column is absent, or is not of its kind.
    """
    columns: dict[str, Any] = {}
    problems: list[Problem] = []
    present = frozenset(table.column_names)
    for name, kind in kinds.items():
        if name not in present:
            rule = "the columns of the training data must be in every split"
            problems.append(Problem(f"{field}.{name}", rule, "no such column", "add it or list it in `load.drop`"))
            continue
        try:
            column = table.column(name)
            columns[name] = _numbers(column) if kind == "number" else _categories(column, missing)
        except (pa.ArrowException, ValueError) as error:
            rule = f"must be a {kind} as in the training data"
            problems.append(Problem(f"{field}.{name}", rule, shown(str(error)), "correct the data"))
    if problems:
        raise DataError("data", problems)
    return pd.DataFrame(columns, index=range(table.num_rows))


def kind_of(arrow_type: Any) -> str | None:
    """Return `number`, `category`, or None for a type that no feature can be made of."""
    if pa.types.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type) and "category"
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    dates = (pa.types.is_timestamp, pa.types.is_date)
    if any(test(arrow_type) for test in (*numbers, *dates)):
        return "number"
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return "category" if any(test(arrow_type) for test in texts) else None


def _read(path: Path, card: DataCard, types: Types) -> Any:
    load, data = card.load or Loading(format="csv"), unpacked(path)
    if data.startswith(_PARQUET) or (load.format == "parquet" and ".parquet" in path.suffixes):
        return pa_parquet.read_table(io.BytesIO(data), use_threads=False)
    content = _without_comments(data.removeprefix(b"\xef\xbb\xbf"), load.comment)
    label = {card.label_space.column: pa.string()} if card.label_space.column else {}
    style = NumberStyle(load.decimal, load.thousands)
    told = {**(types if style.is_plain else _as_texts(types)), **label}
    table = _csv(content, load, load.missing, column_types=told)
    classes = frozenset(map(str, card.label_space.classes))
    if label and classes & frozenset(load.missing):  # a class may be called NA
        gaps = [text for text in load.missing if text not in classes]
        column = _csv(content, load, gaps, column_types=label, include_columns=list(label))
        table = table.set_column(table.column_names.index(*label), *label, column.column(0))
    if foreign := next((field.name for field in table.schema if pa.types.is_binary(field.type)), None):
        # Arrow reads as bytes, which no feature is made of, what is not UTF-8.
        raise ValueError(f"column {foreign} is not UTF-8 text: save the file as UTF-8")
    return table if style.is_plain else _numbered(table, style, types, label)


def _csv(content: bytes, load: Loading, missing: Iterable[str], **options: Any) -> Any:
    return pa_csv.read_csv(
        io.BytesIO(content),
        read_options=pa_csv.ReadOptions(column_names=load.columns or None, use_threads=False),
        parse_options=pa_csv.ParseOptions(
            delimiter=load.delimiter or _delimiter(content),
            quote_char='"' if load.quoted else False,
            newlines_in_values=load.quoted,
        ),
        convert_options=pa_csv.ConvertOptions(
            null_values=[*dict.fromkeys(a + text + b for text in missing for a in _BLANKS for b in _BLANKS)],
            strings_can_be_null=True,
            **options,
        ),
    )


def _as_texts(types: Types) -> Types:
    return {name: pa.string() if pa.types.is_floating(kind) else kind for name, kind in types.items()}


def _numbered(table: Any, style: NumberStyle, types: Types, label: Types) -> Any:
    """Return the table with numbers of another style read; they stay texts where `types` says so, and in the label."""
    for place, field in enumerate(table.schema):
        if not is_text(field.type):
            continue
        column = style.plain(table.column(place))
        if field.name not in label and types.get(field.name) != pa.string():
            try:
                column = column.cast(pa.float64())
            except pa.ArrowInvalid:
                if field.name in types:
                    raise
        table = table.set_column(place, field.name, column)
    return table


def _without_comments(content: bytes, comment: str | None) -> bytes:
    mark = (comment or "").encode()
    if not mark or mark not in content:
        return content
    return b"".join(line for line in content.splitlines(keepends=True) if not line.startswith(mark))


def _delimiter(content: bytes) -> str:
    first = content.split(b"\n", 1)[0]
    return max(_DELIMITERS, key=first.count).decode()


def _numbers(column: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        microseconds = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        values = microseconds.cast(pa.float64(), safe=False).to_numpy() / 1e6
    elif pa.types.is_boolean(column.type):
        values = column.cast(pa.int8()).cast(pa.float64()).to_numpy()
    else:
        values = column.cast(pa.float64(), safe=False).to_numpy()
    # Trainers compute in 32 bits, in which larger numbers are infinite.
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


def _categories(column: Any, missing: frozenset[str]) -> pd.Categorical:
    encoded = column.cast(pa.string()).dictionary_encode().combine_chunks()
    levels = [level.strip() for level in encoded.dictionary.to_pylist()]
    kept = [level for level in dict.fromkeys(levels) if level not in missing]
    places = {level: code for code, level in enumerate(kept)}
    # The last place answers to -1, the code of a missing value.
    new = np.array([*(places.get(level, -1) for level in levels), -1])
    codes = new[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return pd.Categorical.from_codes(codes, categories=pd.Index(kept, dtype=object))
