"""Finding the searcher inside what Ray wraps it in, some several times."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def unwrapped(search_alg: Any, kind: type[T]) -> T | None:
    """Return the searcher of that kind within `search_alg`; None for anybody else's."""
    while search_alg is not None and not isinstance(search_alg, kind):
        search_alg = getattr(search_alg, "searcher", None)
    return search_alg
