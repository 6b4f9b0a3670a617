"""How alike two data sets are, from what their Data Cards say: words, sizes, labels.

Notation, for cards a and b:
    words(a, b)   cosine of the encoded texts, in [0, 1]
    size(a, b)    1 - |log10 n_a - log10 n_b| / 3, at least 0; n is the number of training examples
    labels(a, b)  (min(c_a, c_b) / max(c_a, c_b) + balance) / 2; c is the number of classes, balance is
                  1 - |h_a - h_b| with h the entropy of the label shares over log c
    width(a, b)   as size, of the number of columns (tables) or pixels (images), over 2 decades
    similarity    weighted mean of those that both cards tell: words .5, size .2, labels .2, width .1
Cards of another task or input type are not alike at all: their settings mean something else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, final

import numpy as np
import numpy.typing as npt

from automl_gpt_ray.cards import DataCard

Matrix = npt.NDArray[np.float64]

WEIGHTS = {"words": 0.5, "size": 0.2, "labels": 0.2, "width": 0.1}
MAX_WORDS = 8000
"""Characters of a card that are encoded."""


class Encoder(Protocol):
    """Makes vectors of texts.

    TfIdf().encode(["census of adults", "census of children", "pictures of ships"])
    """

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Return shape (texts, dimensions), each row of length 1 (or 0 for a text without words)."""
        ...


@final
class TfIdf:
    """Words and pairs of words by term frequency and inverse document frequency, over the texts given.

    Args:
        letters: Whether groups of three to five letters within words are counted instead.
    """

    def __init__(self, letters: bool = False) -> None:
        self._letters = letters

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Return the rows of the texts; equal texts in any order give equal similarities."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        kind: dict[str, Any] = {"ngram_range": (1, 2), "stop_words": "english"}
        if self._letters:
            kind = {"analyzer": "char_wb", "ngram_range": (3, 5)}
        words = TfidfVectorizer(sublinear_tf=True, **kind)
        try:
            found: Matrix = np.asarray(words.fit_transform(list(texts)).toarray(), dtype=np.float64)
        except ValueError:  # no text has a word
            return np.zeros((len(texts), 1))
        return found


@final
class TextModel:
    """The mean of a text encoder's last states over the words, by `transformers`.

    Args:
        name: Hub id or folder, as `AutoModel` and `AutoTokenizer` take it.
    """

    def __init__(self, name: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(name)
        self._model: Any = AutoModel.from_pretrained(name).eval()

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Return the rows of the texts."""
        import torch

        rows = []
        for text in texts:  # one by one: padding would change the last digits with the company
            inputs = self._tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
            with torch.inference_mode():
                rows.append(self._model(**inputs).last_hidden_state[0].mean(dim=0).double().numpy())
        found = np.stack(rows)
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))


def similarities(card: DataCard, others: Sequence[DataCard], encoder: Encoder) -> list[float]:
    """Return how alike each of `others` is to `card`, in [0, 1]; 0 for another task or input type."""
    if not others:
        return []
    # Encoded together, each text once and in a fixed order: TF-IDF depends on the company.
    texts = sorted({text_of(c) for c in (card, *others)})
    rows = dict(zip(texts, encoder.encode(texts), strict=True))
    own = rows[text_of(card)]
    return [_similarity(card, other, float(np.clip(own @ rows[text_of(other)], 0.0, 1.0))) for other in others]


def text_of(card: DataCard) -> str:
    """Return what a Data Card says in words."""
    names = [*card.label_space.names, *(column.name for column in card.columns)]
    parts = (card.name, card.task, card.input_type, card.description, " ".join(names))
    return " ".join(" ".join(parts).replace("_", " ").split())[:MAX_WORDS]


def _similarity(a: DataCard, b: DataCard, words: float) -> float:
    if (a.task, a.input_type) != (b.task, b.input_type):
        return 0.0
    told = {
        "words": words,
        "size": _near(_size(a), _size(b), 3.0),
        "labels": _labels(a, b),
        "width": _near(_width(a), _width(b), 2.0),
    }
    known = {name: value for name, value in told.items() if value is not None}
    return sum(WEIGHTS[name] * value for name, value in known.items()) / sum(WEIGHTS[name] for name in known)


def _near(a: int | None, b: int | None, decades: float) -> float | None:
    if not a or not b:
        return None
    return max(0.0, 1.0 - abs(math.log10(a) - math.log10(b)) / decades)


def _size(card: DataCard) -> int | None:
    # Before the hold-outs are taken: a card may tell them apart or not.
    return sum(count for split, count in card.size.items() if split in ("train", "validation")) or None


def _width(card: DataCard) -> int | None:
    return math.prod(card.image_shape) if card.image_shape else len(card.columns) or None


def _labels(a: DataCard, b: DataCard) -> float | None:
    counts = len(a.label_space.classes), len(b.label_space.classes)
    if not all(counts):
        return None
    number, spreads = min(counts) / max(counts), (_entropy(a), _entropy(b))
    if spreads[0] is None or spreads[1] is None:
        return number
    return (number + 1.0 - abs(spreads[0] - spreads[1])) / 2


def _entropy(card: DataCard) -> float | None:
    shares = [share for share in card.label_balance.values() if share > 0 and math.isfinite(share)]
    if len(shares) < 2:
        return None
    total = sum(shares)
    return -sum(s / total * math.log(s / total) for s in shares) / math.log(len(shares))
