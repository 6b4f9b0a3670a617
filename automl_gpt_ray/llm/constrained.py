"""Which tokens may come next, so that a reply fits its schema: the compiled grammar and its use.

Knows the texts of a vocabulary and nothing of models or tensors. Compiling takes about a second a
proposal with 50 000 tokens, so a `Grammar` is made once for a schema and used by many replies.

    grammar = Grammar(reply_regex(schema), texts)
    reply = Reply(grammar, size)
    while not reply.finished:
        reply.advance(choose(reply.allowed()))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np

MAX_STRING = 200
"""Most characters of a string; where one is free to go on, a weak model does."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]


class VocabularyUnsuitable(ValueError):
    """The vocabulary cannot spell every reply."""


def spelling(texts: Mapping[int, str]) -> dict[int, str]:
    """Return the tokens a reply may be spelt with: those of printable ASCII, by their id.

    Raises:
        VocabularyUnsuitable: A printable character is no token of its own, so that a reply could
            come to a point from which no token leads on.
    """
    usable = {token: text for token, text in texts.items() if text and text.isascii() and text.isprintable()}
    missing = sorted({chr(code) for code in range(32, 127)} - set(usable.values()))
    if missing:
        raise VocabularyUnsuitable(f"it has no token for {' '.join(missing[:12])}")
    return usable


@final
class Grammar:
    """A compiled expression over a vocabulary; immutable, so replies may share it.

    Args:
        regex: What whole replies must match, in printable ASCII.
        texts: Tokens by id, as `spelling` returns them.
        max_string: Most characters of each string.

    Raises:
        ValueError: The expression does not compile.
    """

    def __init__(self, regex: str, texts: Mapping[int, str], max_string: int = MAX_STRING) -> None:
        from outlines_core import Index, Vocabulary  # type: ignore[import-untyped]  # it ships no types

        by_text: dict[str, list[int]] = {}
        for token, text in texts.items():
            by_text.setdefault(text, []).append(token)
        self.end = max(texts) + 1  # stands for the end of a reply; `finished` comes before it is asked for
        self.texts = texts
        self.index = Index(regex, Vocabulary(self.end, by_text))
        self.max_string = max_string
        self.letter = by_text["e"][0]
        self.before_quote = np.zeros(self.end + 1, dtype=np.int32)
        for token, text in texts.items():
            self.before_quote[token] = len(text.partition('"')[0])


@final
class Reply:
    """A reply being written, token by token.

    Args:
        grammar: What it must match.
        size: How many tokens the model has scores for.
    """

    def __init__(self, grammar: Grammar, size: int) -> None:
        from outlines_core import Guide

        self._grammar = grammar
        self._size = size
        self._guide = Guide(grammar.index)
        self._bits = np.zeros(max(size, grammar.end + 1) // 32 + 1, dtype=np.int32)
        self._string = 0
        self._tokens: list[int] = []

    @property
    def finished(self) -> bool:
        """Whether the reply is complete: it may end here."""
        return bool(self._guide.is_finished())

    @property
    def text(self) -> str:
        """What has been written."""
        return "".join(self._grammar.texts[token] for token in self._tokens)

    def allowed(self) -> Mask:
        """Return shape (size,): True for each token that may come next; at least one is."""
        self._guide.write_mask_into(self._bits.ctypes.data, self._bits.size, self._bits.itemsize)
        mask: Mask = np.unpackbits(self._bits.view(np.uint8), bitorder="little").astype(bool)
        if self._in_string():
            # The expression would let it go on for ever. A quote alone always remains.
            lengths = self._grammar.before_quote
            mask[: lengths.size] &= lengths <= self._grammar.max_string - self._string
        return mask[: self._size]

    def advance(self, token: int) -> None:
        """Write `token`, one of those allowed."""
        self._guide.advance(token, return_tokens=False)
        self._tokens.append(token)
        text = self._grammar.texts[token]
        begins = '"' in text or not self._in_string()
        self._string = len(text.rpartition('"')[2]) if begins else self._string + len(text)

    def _in_string(self) -> bool:
        # Only inside a string does a letter lead to where one already is.
        state = self._guide.get_state()
        return bool(self._grammar.index.get_next_state(state, self._grammar.letter) == state)
