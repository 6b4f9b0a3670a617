"""Answering: the process that an `Apart` advisor asks; it mirrors the history and calls the advisor.

    python -m automl_gpt_ray.advisors.answering

One JSON line in, one out. The first line in is an `Opening`; its answer says that the advisor is ready. Then
each `Ask` tells what changed in the history since the one before. The process ends with its input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import IO, final

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.questions import MESSAGE, Answer, Ask, Opening
from automl_gpt_ray.advisors.recipe import rebuild
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.records import History, Proposal, TrialRecord

NICE = 5
"""Trials and Ray's event loop go first."""


@final
class Mirror:
    """The history on this side, brought up to date by each ask."""

    def __init__(self) -> None:
        self._trials: list[TrialRecord] = []

    def after(self, ask: Ask) -> History:
        """Return the history that was asked about; trials that did not change are the same objects."""
        del self._trials[ask.length :]
        for index, trial in ask.changed:
            self._trials[index : index + 1] = [trial]
        trials = tuple(self._trials)
        return History(ask.objective, trials, ask.pending, ask.version, ask.epoch, ask.max_step)


def answer(advisor: Advisor, history: History, n: int) -> Answer:
    """Return what `advisor` proposes, or why it does not."""
    try:
        return Answer(tuple(advisor.propose(history, n)))
    except AdviceError as error:
        return Answer(error=str(error))


def serve(lines: Iterable[bytes], out: IO[bytes]) -> None:
    """Answer each line of `lines` with one on `out`."""
    source = iter(lines)
    advisor, mirror = _advisor(MESSAGE.validate_json(next(source))), Mirror()
    _write(out, Answer())
    for line in source:
        ask = MESSAGE.validate_json(line)
        if isinstance(ask, Ask):
            _write(out, answer(advisor, mirror.after(ask), ask.n))


def _advisor(opening: object) -> Advisor:
    if not isinstance(opening, Opening):
        raise TypeError(f"the first line must be an opening, got {type(opening).__name__}")
    return rebuild(opening.recipe, Brief.from_dict(opening.brief), _Nobody())


@final
class _Nobody:
    """Stands for the language model, which is asked elsewhere."""

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Raise `AdviceError`."""
        raise AdviceError("no language model is asked in this process")


def _write(out: IO[bytes], found: Answer) -> None:
    out.write(MESSAGE.dump_json(found) + b"\n")
    out.flush()


def main() -> None:
    """Answer what comes on standard input, with the least claim on the processor."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    # What a library prints must not come between the answers.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, out)


if __name__ == "__main__":
    main()
