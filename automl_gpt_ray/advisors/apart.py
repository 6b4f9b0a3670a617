"""Apart: an advisor that thinks in a process of its own, so that Ray's event loop keeps the interpreter.

    advisor = Apart(ClassicalAdvisor(space), Opening(recipe, brief.to_dict()))
    advisor.propose(history, 3)     # the same proposals as the advisor's own
    advisor.close()

Short histories are cheap, so they are answered here, and so is what comes before the process is ready. When it
dies its question is answered here, and it is started once more. Nothing is lost but speed.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, final

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.questions import MESSAGE, Answer, Ask, Opening
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.records import History, Proposal, TrialRecord

FROM_TRIALS = 10
"""Trials of a history that is worth a process."""
STARTS = 2

_PROGRAM = (sys.executable, "-m", "automl_gpt_ray.advisors.answering")
_ROOT = str(Path(__file__).resolve().parents[2])
_LOG = logging.getLogger(__name__)


@final
class Apart:
    """Asks an advisor in a process of its own once the history is not short. One caller at a time.

    Args:
        advisor: Answers while the history is short, or the process is not there.
        opening: From which the process makes an equal advisor.
        from_trials: Trials at which the process is started.
    """

    def __init__(self, advisor: Advisor, opening: Opening, from_trials: int = FROM_TRIALS) -> None:
        self.advisor, self._opening, self._from = advisor, opening, from_trials
        self._process: _Process | None = None
        self._starts = 0
        self._closed = False

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return what the advisor proposes; AdviceError as from the advisor itself."""
        if len(history.trials) >= self._from:
            self._start()
        process = self._process
        if process is None or not process.ready.is_set():
            return self.advisor.propose(history, n)
        try:
            found = process.ask(history, n)
        except (OSError, ValueError) as error:
            self._died(process, error)
            if self._closed:
                raise AdviceError("the run is over") from None
            return self.advisor.propose(history, n)
        if found.error:
            raise AdviceError(found.error)
        return list(found.proposals)

    def close(self) -> None:
        """End the process; a call that waits for it fails."""
        self._closed = True
        if self._process:
            self._process.close()
            self._process = None

    def _start(self) -> None:
        if self._process is not None or self._closed or self._starts >= STARTS:
            return
        self._starts += 1
        try:
            self._process = _Process(self._opening)
        except OSError as error:  # no more processes, or no interpreter to start
            _LOG.warning("advisor process: cannot start (%s); the driver does its work", error)
            self._starts = STARTS

    def _died(self, process: _Process, error: Exception) -> None:
        process.close()
        self._process = None
        if not self._closed:
            next_step = "it is started again" if self._starts < STARTS else "the driver does its work"
            _LOG.warning("advisor process: died (%s); %s", error, next_step)


@final
class _Process:
    """The process, its pipes, and what it was told."""

    def __init__(self, opening: Opening) -> None:
        paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            _PROGRAM,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is the driver's to handle; the process ends with its pipe
        )
        self._told: tuple[TrialRecord, ...] = ()
        self.ready = threading.Event()
        self._send(opening)
        threading.Thread(target=self._await_ready, name="advisor-process", daemon=True).start()

    def ask(self, history: History, n: int) -> Answer:
        """Return the answer.

        Raises:
            OSError: The process is gone.
        """
        before = self._told
        changed = tuple((i, t) for i, t in enumerate(history.trials) if i >= len(before) or before[i] is not t)
        ask = Ask(
            n,
            len(history.trials),
            changed,
            history.objective,
            history.pending,
            history.version,
            history.epoch,
            history.max_step,
        )
        self._send(ask)
        self._told = history.trials
        found = MESSAGE.validate_json(self._receive())
        if not isinstance(found, Answer):
            raise ValueError(f"it sent an {found.kind} instead of an answer")
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            self._shut(pipe)

    def _await_ready(self) -> None:
        with suppress(OSError, ValueError):  # it died, or was closed meanwhile
            self._receive()
            self.ready.set()

    def _send(self, message: Opening | Ask) -> None:
        if self._process.stdin is None:  # never so with PIPE
            raise BrokenPipeError("no pipe to it")
        self._process.stdin.write(MESSAGE.dump_json(message) + b"\n")
        self._process.stdin.flush()

    def _receive(self) -> bytes:
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise BrokenPipeError("it ended without an answer")
        return line

    @staticmethod
    def _shut(pipe: IO[bytes] | None) -> None:
        with suppress(OSError):  # what was buffered for a process that is gone
            if pipe:
                pipe.close()
