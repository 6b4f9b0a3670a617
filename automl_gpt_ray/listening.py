"""Listening: a thread of the driver that looks for feedback in the run folder and lets it take effect.

What was said is written down first. Then queued proposals that do not follow a new hint are dropped, and the
advisors are woken: they know of it from the next history on. Ray's event loop is never asked for anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import final

from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.events import Decision, ProposalDropped
from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.feedback_file import FILE_NAME, lines_from, read
from automl_gpt_ray.job_events import FeedbackGiven
from automl_gpt_ray.queue_rules import HINTED, unheeding
from automl_gpt_ray.space import SearchSpace

POLL_S = 0.5
MAX_REMARKS = 200


@final
class Listener:
    """Takes what people say into the book of a run.

    Args:
        book: Of the run.
        space: Hints are checked against it.
        folder: The run folder.
        changed: Called after something was said.
    """

    def __init__(self, book: Book, space: SearchSpace, folder: Path, changed: Callable[[], object]) -> None:
        self._book, self._space, self._path, self._changed = book, space, folder / FILE_NAME, changed
        self._offset = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="feedback", daemon=True)

    def start(self) -> None:
        """Begin to listen; what was left before counts."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no longer, once what is there now was taken in."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def look(self) -> int:
        """Take in what was said since the last look, and return how many remarks that were."""
        lines, self._offset = lines_from(self._path, self._offset)
        return sum(self._take(line) for line in lines)

    def _listen(self) -> None:
        try:
            while not self._stopped.wait(POLL_S):
                self.look()
        except JournalError:
            return  # whoever writes the run's next event is told so too

    def _take(self, line: bytes) -> bool:
        said, problems = read(line, self._space)
        with self._book.lock:
            known = self._book.feedback
            # A run that is resumed reads the file from its beginning.
            if said.id in {earlier.id for earlier in known} or len(known) >= MAX_REMARKS:
                return False
            self._book.record(FeedbackGiven(said, problems))
            dropped = unheeding(self._book, self._space) if said.has_hints else []
            for proposal in dropped:
                self._book.record(ProposalDropped(proposal.id, HINTED))
            reason = _told(said, problems, len(dropped))
            self._book.record(Decision(f"feedback {said.id}", "feedback", reason, by="person"))
        self._changed()
        return True


def _told(said: Feedback, problems: tuple[str, ...], dropped: int) -> str:
    parts = [f"a person says: {said.text}" if said.text else ""]
    parts += [f"fixes {name} at {value!r}" for name, value in said.fixed.items()]
    parts += [f"narrows {name} to {low:g}..{high:g}" for name, (low, high) in said.narrowed.items()]
    parts += [f"frees {name}" for name in said.freed]
    parts += [f"{dropped} queued proposals that do not follow it are dropped" if dropped else ""]
    parts += [f"not followed: {problem}" for problem in problems[:3]]
    return "; ".join(part for part in parts if part) or "an empty remark"
