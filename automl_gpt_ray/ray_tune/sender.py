"""Sending to a tracker in a thread of its own, so that a slow server does not hold up Ray's event loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import final

from automl_gpt_ray.llm.redaction import redact, secrets_in

_LOG = logging.getLogger(__name__)
PATIENCE_S = 30.0
"""How long the end of a run waits for what is still to be sent."""


@final
class Sender:
    """Does things one after the other in a thread; what fails is said once and changes nothing else."""

    def __init__(self, name: str) -> None:
        self._name, self._failed = name, False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-tracker")

    def later(self, act: Callable[[], None]) -> None:
        """Do `act` when everything before it is done."""
        self._pool.submit(self._try, act)

    def close(self) -> None:
        """Wait a while for what is left to be done, and give up the rest."""
        done = threading.Event()
        self._pool.submit(done.set)
        if not done.wait(PATIENCE_S):
            _LOG.warning("%s did not take everything within %g s; the journal has it all", self._name, PATIENCE_S)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever a tracker does, the run goes on
            if not self._failed:
                why = redact(str(error), secrets_in())[:500]
                _LOG.warning("%s cannot be told of the run, which goes on: %s", self._name, why)
            self._failed = True
