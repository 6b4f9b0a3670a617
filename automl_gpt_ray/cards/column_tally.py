"""Statistics of one column, gathered batch by batch in bounded memory.

Takes pyarrow arrays, typed (parquet) or as text to be interpreted (CSV). Knows no file and no label.
"""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from automl_gpt_ray.cards.number_text import PLAIN, is_text

ColumnType = Literal["number", "category", "text", "boolean", "date", "other"]

MAX_DISTINCT = 100_000
"""Distinct values counted exactly; beyond, the number is unknown."""
MAX_CLASSES = 1_000
"""Distinct values whose shares are kept."""
_LONG_TEXT = 30.0
_MANY_WORDS = 4.0
_NUMBER = f"^{PLAIN}$"
_WHOLE = r"^[+-]?\d+(\.0*)?$"
_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$"
_BOOLEAN = r"^([Tt]rue|[Ff]alse|TRUE|FALSE)$"


class ColumnTally:
    """What is known of a column after some batches.

    Args:
        name: Of the column.
        missing: Texts that mean "missing"; empty for typed columns, where null and NaN do.
        counted: Whether to keep the number of rows of each value, up to `MAX_CLASSES` values.

    Attributes:
        rows: Rows seen.
        missing_rows: Rows without a value.
        counts: Value to rows, where counted; None where there are too many values.
    """

    def __init__(self, name: str, missing: list[str], counted: bool = False) -> None:
        self.name = name
        self.rows = 0
        self.missing_rows = 0
        self.counts: dict[Any, int] | None = {} if counted else None
        self._missing = pa.array(missing, pa.string())
        self._seen: Any = None
        self._too_many = False
        self._type: Any = None
        # Which readings all texts so far allow, and how long they are.
        self._readings = {_WHOLE, _NUMBER, _DATE, _BOOLEAN}
        self._letters = self._blanks = 0
        self._texts = 0
        self._whole = True

    def add(self, values: Any) -> None:
        """Take the next batch: a `pyarrow.Array` of the column's values."""
        values = self._cleaned(values)
        self._type = values.type
        self.rows += len(values)
        self.missing_rows += values.null_count
        if not self._is_scalar:
            return
        seen = pc.unique(values).drop_null()
        self._read(seen)
        self._remember(seen)
        if self.counts is not None:
            self._count(values)

    @property
    def distinct(self) -> int | None:
        """Number of distinct values; None where not known."""
        return None if self._too_many or not self._is_scalar or self._seen is None else len(self._seen)

    @property
    def type(self) -> ColumnType:
        """What kind of values these are."""
        if self._type is None or not self._is_scalar or self.missing_rows == self.rows:
            return "other"
        if is_text(self._type):
            return self._text_type()
        if pa.types.is_boolean(self._type):
            return "boolean"
        return "date" if pa.types.is_temporal(self._type) else "number"

    @property
    def whole(self) -> bool:
        """Whether these are numbers, and all of them whole."""
        return self.type == "number" and (self._whole if self._texts == 0 else _WHOLE in self._readings)

    @property
    def missing(self) -> float:
        """Share of rows without a value, in [0, 1]."""
        return round(self.missing_rows / self.rows, 6) if self.rows else 0.0

    @property
    def _is_scalar(self) -> bool:
        return not (pa.types.is_nested(self._type) or is_binary(self._type) or pa.types.is_null(self._type))

    def _cleaned(self, values: Any) -> Any:
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_string_view(values.type):
            values = values.cast(pa.large_string())  # few of Arrow's functions take the views
        if len(self._missing):
            values = pc.utf8_trim_whitespace(values)
            return pc.if_else(pc.is_in(values, value_set=self._missing), pa.scalar(None, values.type), values)
        if pa.types.is_float16(values.type):
            values = values.cast(pa.float32())  # nor the halves
        if pa.types.is_floating(values.type):
            return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        return values

    def _read(self, seen: Any) -> None:
        if is_text(seen.type):
            self._letters += pc.sum(pc.utf8_length(seen)).as_py() or 0
            self._blanks += pc.sum(pc.count_substring(seen, " ")).as_py() or 0
            self._texts += len(seen)
            self._readings = {
                r for r in self._readings if pc.all(pc.match_substring_regex(seen, r)).as_py() is not False
            }
        elif pa.types.is_floating(seen.type):
            self._whole = self._whole and pc.all(pc.equal(pc.floor(seen), seen)).as_py() is not False

    def _remember(self, seen: Any) -> None:
        if self._too_many:
            return
        self._seen = seen if self._seen is None else pc.unique(pa.concat_arrays([self._seen, seen]))
        if len(self._seen) > MAX_DISTINCT:
            self._too_many, self._seen = True, None

    def _count(self, values: Any) -> None:
        assert self.counts is not None  # noqa: S101 - for the type checker
        for pair in pc.value_counts(values.drop_null()):
            value = pair["values"].as_py()
            self.counts[value] = self.counts.get(value, 0) + pair["counts"].as_py()
            if len(self.counts) > MAX_CLASSES:
                self.counts = None
                return

    def _text_type(self) -> ColumnType:
        # A typed column of texts stays text even where every text looks like a number.
        if len(self._missing):
            for reading, kind in ((_NUMBER, "number"), (_DATE, "date"), (_BOOLEAN, "boolean")):
                if reading in self._readings:
                    return kind  # type: ignore[return-value]
        filled = self.rows - self.missing_rows
        mostly_different = self.distinct is None or self.distinct > filled / 2
        long = self._letters / self._texts > _LONG_TEXT or 1 + self._blanks / self._texts >= _MANY_WORDS
        return "text" if mostly_different and long else "category"


def is_binary(kind: Any) -> bool:
    """Return whether a pyarrow type holds bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
