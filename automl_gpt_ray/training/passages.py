"""Passages and questions: DPR's files of a corpus and of questions with right and wrong passages, by split.

A corpus is a table `id, text, title` separated by tabs; questions are DPR's JSON (`question`, `answers`,
`positive_ctxs`, `hard_negative_ctxs`) or NQ-Open's JSON lines (`question`, `answer`), packed or not.
Knows no tokens and no model.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import DataError, Problem, shown
from automl_gpt_ray.training import fetch, splits

CORPUS = "passages"
"""Key of the corpus in `load.files`, beside `train`, `validation` and `test`."""

_LOG = logging.getLogger(__name__)


@dataclass
class Passages:
    """The corpus, and behind it passages that occur with questions only.

    Attributes:
        titles: One a passage.
        texts: One a passage.
        ranked: How many of them are the corpus; the others are trained on but never ranked.
        twins: For each passage, a number that passages of the same text share.
    """

    titles: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    ranked: int = 0
    twins: list[int] = field(default_factory=list)
    _rows: dict[str, int] = field(default_factory=dict)

    def row(self, title: str, text: str) -> int:
        """Return the place of a passage, added where it is new."""
        known = self._rows.get(text)
        return self.add(title, text) if known is None else known

    def add(self, title: str, text: str) -> int:
        """Append a passage and return its place."""
        place = len(self.texts)
        self.titles.append(title)
        self.texts.append(text)
        self.twins.append(self._rows.setdefault(text, place))
        return place


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        text: As asked.
        answers: Any of them is right.
        positives: Places of passages that answer it.
        negatives: Places of passages that do not, hard ones first.
    """

    text: str
    answers: tuple[str, ...]
    positives: tuple[int, ...]
    negatives: tuple[int, ...]


def load_questions(card: DataCard, wanted: Collection[str], seed: int) -> tuple[Passages, dict[str, list[Question]]]:
    """Return the passages and the splits of questions in `wanted`.

    Training questions without a right passage, and questions without text, are left out, counted and logged.

    Args:
        card: `load.files` names `passages`, `train`, and where there are such `validation` and `test`.
        wanted: Some of `train`, `validation`, `test`.
        seed: Of the hold-outs where the data set has no split of its own.

    Raises:
        DataError: With what was found wrong.
    """
    official = _official(card)
    if "test" in wanted and "test" not in official and card.test_share == 0:
        raise splits.no_such_split(card, "test", official)
    needed = [split for split in splits.SPLITS if split in official and split in {*wanted, "train"}]
    files = fetch.find_files(card, only=frozenset({CORPUS, *needed}))
    passages = _corpus(card, files[CORPUS])
    sources = {split: _questions(card, files[split], split, passages) for split in needed}
    shared = splits.shared_out(card, np.zeros(len(sources["train"]), dtype=np.int64), official, seed)
    return passages, {split: _split(card, sources, shared, split) for split in wanted}


def _split(
    card: DataCard, sources: Mapping[str, list[Question]], shared: Mapping[str, splits.Rows], split: str
) -> list[Question]:
    if split in shared:
        return [sources["train"][row] for row in shared[split]]
    if split not in sources:
        raise splits.no_such_split(card, split, {*shared, *sources})
    return sources[split]


def _official(card: DataCard) -> frozenset[str]:
    if card.load is None or card.load.format != "dpr":
        got = shown(card.load.format if card.load else None)
        raise DataError(card.name, [Problem("load.format", "must be dpr for questions and passages", got)])
    files = card.load.files
    unknown = sorted(set(files) - {CORPUS, *splits.SPLITS})
    if unknown or not {CORPUS, "train"} <= set(files):
        rule = f"must name `{CORPUS}` and `train`, and may name `validation` and `test`"
        raise DataError(card.name, [Problem("load.files", rule, shown(unknown[0] if unknown else list(files)))])
    return frozenset(files) - {CORPUS}


def _corpus(card: DataCard, path: Path) -> Passages:
    rule = "must be a table of passages: id, text and title, separated by tabs"
    passages = Passages()
    empty = 0
    limit = csv.field_size_limit(sys.maxsize)  # of the whole process: set back below
    try:
        for row in csv.reader(io.StringIO(_text(path)), delimiter="\t"):
            if row[:1] == ["id"]:
                continue
            if len(row) != 3:
                got = f"a row of {len(row)} values: {shown(row)}"
                raise DataError(card.name, [Problem(str(path), rule, got, "correct the file")])
            if row[1].strip():
                passages.add(row[2], row[1])
            else:
                empty += 1
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(card.name, [Problem(str(path), rule, shown(str(error)), "fetch it again")]) from None
    finally:
        csv.field_size_limit(limit)
    if not passages.texts:
        raise DataError(card.name, [Problem(str(path), "must hold at least one passage", "none")])
    _tell(card, CORPUS, empty, "passages have no text: skipped")
    passages.ranked = len(passages.texts)
    return passages


def _questions(card: DataCard, path: Path, split: str, passages: Passages) -> list[Question]:
    try:
        found = [_question(entry, passages) for entry in _entries(path)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        rule = "must be DPR's JSON of questions, or NQ-Open's JSON lines"
        got = f"{type(error).__name__} {shown(str(error))}"
        raise DataError(card.name, [Problem(str(path), rule, got, "correct the file")]) from None
    asked = [question for question in found if question.text.strip()]
    _tell(card, split, len(found) - len(asked), "questions have no text: skipped")
    usable = [question for question in asked if question.positives or split != "train"]
    _tell(card, split, len(asked) - len(usable), "questions have no right passage: not trained on")
    unranked = sum(not any(row < passages.ranked for row in question.positives) for question in usable)
    if split != "train":
        _tell(card, split, unranked, "questions have no right passage in the corpus: judged by their answers only")
        if unranked == len(usable) and not any(question.answers for question in usable):
            rule = "questions must have answers, or right passages in the corpus"
            raise DataError(card.name, [Problem(split, rule, f"{len(usable)} with neither", "check the files")])
    if not usable:
        rule = "must hold at least one question" + (" with a right passage" if split == "train" else "")
        raise DataError(card.name, [Problem(str(path), rule, f"{len(found)} in all", "check the file")])
    return usable


def _entries(path: Path) -> list[Mapping[str, Any]]:
    text = _text(path)
    if text.lstrip().startswith("["):
        entries: list[Mapping[str, Any]] = json.loads(text)
        return entries
    # Not `splitlines`: JSON may hold the line and paragraph separators of Unicode as they are.
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _text(path: Path) -> str:
    # Some editors begin a file with a byte order mark.
    return fetch.unpacked(path).decode("utf-8-sig")


def _question(entry: Mapping[str, Any], passages: Passages) -> Question:
    def places(key: str) -> tuple[int, ...]:
        return tuple(passages.row(c.get("title") or "", c["text"]) for c in entry.get(key, ()) if c["text"].strip())

    told = entry["answers"] if "answers" in entry else entry["answer"]
    answers = [told] if isinstance(told, str) else told  # a text alone is one answer, not its letters
    positives = places("positive_ctxs")
    # A passage that answers the question is no wrong one, whatever the file says.
    right = {passages.twins[row] for row in positives}
    wrong = (row for key in ("hard_negative_ctxs", "negative_ctxs") for row in places(key))
    negatives = tuple(row for row in wrong if passages.twins[row] not in right)
    return Question(str(entry["question"]), tuple(map(str, answers)), positives, negatives)


def _tell(card: DataCard, split: str, count: int, what: str) -> None:
    if count:
        _LOG.warning("%s: %s: %d %s", card.name, split, count, what)
