"""Names of a table's columns: which are given twice, and which stand for no column of the data.

What describes a file and what reads it for training both ask here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from automl_gpt_ray.errors import CardError, Problem, shown

_INDEX = re.compile(r"(__index_level_\d+__)?")


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that stand there more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def check_distinct(file: Path, names: Iterable[str]) -> None:
    """Raise CardError where the columns of `file` share a name."""
    if twice := repeated(names):
        raise CardError(str(file), [Problem("columns", "names must differ", shown(twice[0]), "rename one of them")])


def is_saved_index(name: str) -> bool:
    """Return whether pandas gives this name to an index that it saves: nothing in CSV, its level in Parquet.

    An index numbers the rows, often in the order of their labels: no feature.
    """
    return _INDEX.fullmatch(name) is not None
