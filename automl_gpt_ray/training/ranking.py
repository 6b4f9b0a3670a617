"""Rankings of passages for questions: BM25, recall, and whether an answer stands in the passages on top.

Formulas: BM25 of Robertson and Zaragoza (2009), with k1 and b as Anserini and DPR use them:

    score(q, d) = sum over words w of q:  idf(w) * f(w, d) * (k1 + 1) / (f(w, d) + k1 * (1 - b + b * |d| / avgdl))
    idf(w) = ln(1 + (N - n(w) + 0.5) / (n(w) + 0.5))

Knows passages and questions; no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from automl_gpt_ray.training.passages import Passages, Question

K1, B = 0.9, 0.4
DEPTHS = (1, 5, 20, 100)
METRICS = (*(f"recall_at_{k}" for k in DEPTHS), *(f"answer_at_{k}" for k in DEPTHS), "mean_reciprocal_rank")
"""`recall_at_k`: a right passage is among the top k; `answer_at_k`: a passage there holds an answer."""

Ranking = npt.NDArray[np.int64]
"""Shape (questions, at most 100): places of passages, best first."""

_WORD = re.compile(r"\w+")
# The stop words of Lucene, on which Anserini stands.
_COMMON = frozenset(
    {
        *("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not"),
        *("of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was"),
        *("will", "with"),
    }
)


class BM25:
    """An index of the corpus by words.

    Args:
        passages: Titles count as text.
    """

    def __init__(self, passages: Passages) -> None:
        self._vocabulary: dict[str, int] = {}
        rows, columns, counts, lengths = [], [], [], []
        for row in range(passages.ranked):
            found = Counter(words(f"{passages.titles[row]} {passages.texts[row]}"))
            lengths.append(sum(found.values()))
            for word, count in found.items():
                rows.append(row)
                columns.append(self._vocabulary.setdefault(word, len(self._vocabulary)))
                counts.append(count)
        frequency = np.asarray(counts, dtype=np.float64)
        length = np.asarray(lengths, dtype=np.float64)[rows] / max(1.0, float(np.mean(lengths)))
        held = np.bincount(columns, minlength=len(self._vocabulary))
        idf = np.log(1.0 + (passages.ranked - held + 0.5) / (held + 0.5))
        weight = idf[columns] * frequency * (K1 + 1.0) / (frequency + K1 * (1.0 - B + B * length))
        self._index = csr_matrix((weight, (columns, rows)), shape=(len(self._vocabulary), passages.ranked))

    def rank(self, questions: Sequence[Question]) -> Ranking:
        """Return the best 100 passages for each question."""
        return np.stack([self._best(question.text) for question in questions])

    def _best(self, text: str) -> Ranking:
        known = [self._vocabulary[word] for word in words(text) if word in self._vocabulary]
        scores = np.asarray(self._index[known].sum(axis=0)).ravel() if known else np.zeros(self._index.shape[1])
        # A stable order: of equal scores the first passage of the corpus comes first.
        return np.argsort(-scores, kind="stable")[: DEPTHS[-1]]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case and the singular, without the commonest."""
    return [_singular(word) for word in _WORD.findall(text.lower()) if word not in _COMMON]


def _singular(word: str) -> str:
    """Return `word` without the ending of its plural: the S-stemmer of Harman (1991), first rule that fits."""
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return f"{word[:-3]}y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word[:-1] if word.endswith("s") and not word.endswith(("us", "ss")) else word


def scores(passages: Passages, questions: Sequence[Question], ranking: Ranking) -> dict[str, float]:
    """Return the metrics in `METRICS`; NaN where no question has a right passage in the corpus, or an answer.

    Args:
        passages: Those that were ranked.
        questions: As many as `ranking` has rows.
        ranking: Best first.
    """
    hits = [_first_right(passages, question, row) for question, row in zip(questions, ranking, strict=True)]
    found = np.asarray([hit for hit in hits if hit is not None], dtype=np.float64)
    answered = np.asarray(
        [_first_answer(passages, q.answers, row) for q, row in zip(questions, ranking, strict=True) if q.answers]
    )
    return {
        **{f"recall_at_{k}": _share(found, k) for k in DEPTHS},
        **{f"answer_at_{k}": _share(answered, k) for k in DEPTHS},
        "mean_reciprocal_rank": float((1.0 / (1.0 + found)).mean()) if len(found) else float("nan"),
    }


def has_answer(text: str, answers: Sequence[str]) -> bool:
    """Return whether the words of an answer stand in `text`, in their order; case and accents aside (DPR's rule)."""
    tokens = _plain(text)
    return any(_within(_plain(answer), tokens) for answer in answers)


def _share(places: npt.NDArray[np.float64], k: int) -> float:
    return float((places < k).mean()) if len(places) else float("nan")


def _first_right(passages: Passages, question: Question, ranked: Ranking) -> float | None:
    right = {passages.twins[row] for row in question.positives}
    # Twins of a passage in the corpus are numbered by the first of them, which is in the corpus.
    if not any(twin < passages.ranked for twin in right):
        return None
    return next((float(i) for i, row in enumerate(ranked) if passages.twins[row] in right), np.inf)


def _first_answer(passages: Passages, answers: Sequence[str], ranked: Ranking) -> float:
    return next((float(i) for i, row in enumerate(ranked) if has_answer(passages.texts[row], answers)), np.inf)


def _plain(text: str) -> list[str]:
    normal = unicodedata.normalize("NFD", text)
    return _WORD.findall("".join(c for c in normal if not unicodedata.combining(c)).lower())


def _within(part: list[str], whole: list[str]) -> bool:
    count = len(part)
    return bool(part) and any(whole[i : i + count] == part for i in range(len(whole) - count + 1))
