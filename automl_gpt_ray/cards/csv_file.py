"""A CSV file, plain or gzipped, as batches of text columns; with or without a header line.

Knows how the file is laid out and nothing about what its columns mean.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
from pyarrow import csv as arrow_csv

from automl_gpt_ray.cards.column_names import check_distinct
from automl_gpt_ray.cards.number_text import style_of
from automl_gpt_ray.errors import CardError, Problem

# Enough for the header of a wide table; of the rows below it, these many.
_SAMPLE = 1024 * 1024
_SAMPLE_ROWS = 200
# The longest row: a block must hold one whole.
_BLOCK = 8 * 1024 * 1024
_NUMBER = re.compile(r"[+-]?(\d[\d.,]*|\.\d+)([eE][+-]?\d+)?")
_SEPARATORS = (",", ";", "\t", "|")


class CsvFile:
    """An open description of a CSV file.

    Args:
        path: The file; gzip is recognised by its content.
        label: A column the caller expects; where it stands in the first line, that is a header.

    Attributes:
        names: Column names; `column_1`, ... where the file has no header. A saved index has the name "".
        has_header: Whether the first line holds the names.
        style: How its numbers are written, as its first rows show.

    Raises:
        CardError: Not text, or repeated column names.
    """

    def __init__(self, path: Path, label: str | None = None) -> None:
        self.path = path
        rows = self._first_rows()
        self.has_header = _is_header(rows, label)
        first = rows[0] if rows else []
        self.names = first if self.has_header else [f"column_{i + 1}" for i in range(len(first))]
        check_distinct(self.path, self.names)
        even = [row for row in rows[int(self.has_header) :] if len(row) == len(first)]
        self.style = style_of(zip(*even, strict=True), self._separator)

    def batches(self) -> Iterator[Any]:
        """Yield `pyarrow.RecordBatch`es whose columns are all strings, their numbers written plainly.

        Raises:
            CardError: A row that has more or fewer fields than the first, or text that is not UTF-8.
        """
        read = arrow_csv.ReadOptions(
            block_size=_BLOCK, column_names=self.names, skip_rows_after_names=int(self.has_header), use_threads=False
        )
        convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(self.names, pa.string()))
        parse = arrow_csv.ParseOptions(delimiter=self._separator, newlines_in_values=True)
        try:
            with self._open() as stream, arrow_csv.open_csv(stream, read, parse, convert) as reader:
                for batch in reader:
                    columns = [self.style.plain(column) for column in batch.columns]
                    yield pa.RecordBatch.from_arrays(columns, names=self.names)
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            remedy = "correct the file; describe it as parquet where fields hold commas or line breaks"
            detail = " ".join(str(error).split())
            raise self._problem("(file)", "must be a table of rows of equal length", detail[:200], remedy) from None

    def _open(self) -> IO[bytes]:
        with self.path.open("rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.open(self.path, "rb")) if zipped else self.path.open("rb")

    def _first_rows(self) -> list[list[str]]:
        try:
            with self._open() as stream:
                data = stream.read(_SAMPLE)
            whole = data if len(data) < _SAMPLE else data[: data.rfind(b"\n") + 1] or data
            text = whole.decode("utf-8-sig")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            detail = " ".join(str(error).split())
            raise self._problem("(file)", "must be UTF-8 text", detail, "save it as UTF-8 CSV, or as parquet") from None
        if "\0" in text:
            raise self._problem("(file)", "must be a CSV or parquet file", "bytes of something else", "check the path")
        # The most frequent in the first line, commas on a tie: what the trainers' reader takes too.
        self._separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
        try:
            rows = csv.reader(text.splitlines(keepends=True), delimiter=self._separator)
            return [row for row in itertools.islice(rows, _SAMPLE_ROWS) if row]
        except csv.Error as error:
            raise self._problem(
                "(file)", "must be CSV", str(error), "correct the file, or save it as parquet"
            ) from None

    def _problem(self, field: str, rule: str, got: str, remedy: str) -> CardError:
        return CardError(str(self.path), [Problem(field, rule, got, remedy)])


def _is_header(rows: list[list[str]], label: str | None) -> bool:
    if not rows or (label is not None and label in rows[0]):
        return True
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    # A comma at the end of each line makes a last column without a name.
    named = first[:-1] if len(first) > 2 and not any(row[-1].strip() for row in rest) else first
    if any(_is_number(value) for value in first):
        return False
    if "" in named[1:]:
        # A title left out, or a missing value: only numbers below a name tell.
        return any(name and _all_numbers(column) for name, column in zip(first, zip(*rest, strict=True), strict=False))
    if len(set(first)) < len(first):
        # Names would differ; or two columns do share a name, which is refused where numbers follow.
        return any(_all_numbers(column) for column in zip(*rest, strict=True))
    columns = list(zip(*rest, strict=True))
    if any(_all_numbers(column) for column in columns):
        return True
    return not any(name in column for name, column in zip(first, columns, strict=False))


def _all_numbers(column: tuple[str, ...]) -> bool:
    filled = [value for value in column if value.strip() not in ("", "?", "NA")]
    return bool(filled) and all(map(_is_number, filled))


def _is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value.strip()) is not None
