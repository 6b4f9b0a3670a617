"""The live view: a run in the terminal as it goes on, redrawn in place; plain lines where there is no terminal.

    run(loaded, llm, tell=progress_view(console))

Whoever tells a line only puts it down; a thread of the view's own draws, a few times a second at most and never
for more than a twentieth of the time. It catches no signal, so Ctrl-C reaches Ray as ever.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO, final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from automl_gpt_ray.book import Book
from automl_gpt_ray.config import LoadedJob
from automl_gpt_ray.live_panel import Scene, panel, plain

if TYPE_CHECKING:  # brings Ray, which a mistake in a job need not wait for
    from automl_gpt_ray.ray_tune.searcher import LLMSearch

Tell = Callable[[str], None]
PERIOD_S = 0.4
SHARE = 0.05
"""Most of the time that drawing takes."""
KEPT = 30
LOUD = ("WARNING", "failed (", "no further trial", "note:")
"""What stays on the screen, above the view."""


def progress_view(console: Console, quiet: bool = False) -> Tell | None:
    """Return what a run tells its lines to: a live view in a terminal, else plain lines; None where `quiet`."""
    if quiet:
        return None
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console)
    return lambda line: console.print(line, markup=False, highlight=False)


@final
class LiveView:
    """Shows a run while it goes on; call it with each line of progress. An `Audience` of `ray_tune.progress`.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._waiting, self._latest = deque[str](), deque[str](maxlen=KEPT)
        self._run: tuple[LoadedJob, LLMSearch] | None = None
        self._offset, self._told = 0.0, 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._moved: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []

    def __call__(self, line: str) -> None:
        """Take a line; it is shown a moment later."""
        self._waiting.append(line)
        if self._thread is None:
            self._print_waiting()

    def watch(self, loaded: LoadedJob, searcher: LLMSearch) -> None:
        """Draw this run from here on."""
        self._run, self._offset = (loaded, searcher), searcher.book.seconds - time.monotonic()
        self._told = len(searcher.book.decisions)
        if self._thread is None:
            self._done.clear()
            self._thread = threading.Thread(target=self._draw, name="live-view", daemon=True)
            self._thread.start()

    def rest(self) -> None:
        """Draw no further, and leave the terminal as it was; what is said from here on is printed as it comes."""
        thread, self._thread, self._run = self._thread, None, None
        self._done.set()
        if thread:
            thread.join()
        self._print_waiting()

    def _draw(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
            took = 0.0
            while not self._done.wait(max(PERIOD_S, took / SHARE)):
                began = time.thread_time()
                self._adopt_logs()
                self._print_waiting(only_loud=True)
                if scene := self._scene():
                    live.update(panel(scene, self._console.width, self._console.height), refresh=True)
                took = time.thread_time() - began
        self._give_logs_back()

    def _scene(self) -> Scene | None:
        run = self._run
        if run is None:
            return None
        loaded, searcher = run
        job, book = loaded.job, searcher.book
        self._note_decisions(book)
        return Scene(
            title=f"{job.name}: {loaded.model.name} on {loaded.data.name}",
            history=book.history(),
            spending=book.spending,
            shares=book.shares,
            budget=job.limits,
            seconds=self._offset + time.monotonic(),
            gpus=job.gpus_per_trial,
            model=job.llm.model if job.llm else "",
            lines=tuple(self._latest),
        )

    def _note_decisions(self, book: Book) -> None:
        """Put what was decided about trials among the latest lines: who, what, why."""
        made, history = book.decisions, book.history()
        numbers = {trial.id: number for number, trial in enumerate(history.trials, 1)}
        for decision in made[self._told :]:
            if decision.subject in numbers:
                step = "" if decision.step is None else f" at step {decision.step}"
                what = f"{decision.action} of trial {numbers[decision.subject]}{step} by {decision.by}"
                self._latest.append(f"{what}: {decision.reason}")
        self._told = len(made)

    def _print_waiting(self, only_loud: bool = False) -> None:
        while self._waiting:
            line = self._waiting.popleft()
            self._latest.append(line)
            if not only_loud or any(word in line for word in LOUD):
                self._console.print(Text(plain(line)))

    def _adopt_logs(self) -> None:
        """Let what is logged to the terminal pass above the view, not through it."""
        # A handler keeps the stream that it was made with, from before rich put its own in place.
        loggers = [logging.root, *logging.root.manager.loggerDict.values()]
        for logger in loggers:
            for handler in getattr(logger, "handlers", ()):
                stream = getattr(handler, "stream", None)
                if isinstance(handler, logging.StreamHandler) and stream in (sys.__stderr__, sys.__stdout__) and stream:
                    self._moved.append((handler, stream))
                    handler.setStream(sys.stderr if stream is sys.__stderr__ else sys.stdout)

    def _give_logs_back(self) -> None:
        for handler, stream in self._moved:
            handler.setStream(stream)
        self._moved.clear()
