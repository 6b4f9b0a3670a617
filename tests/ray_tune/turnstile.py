"""Virtual time in real Ray: trials on several workers report in the order in which a simulator lets them report.

Each trial waits at the turnstile before every report. Once all workers' trials wait there, the one whose step would
have ended first goes through; time stands still until every worker has a waiting trial again, so that whatever Ray
does about a report (stopping its trial, starting another) is done before the next.
"""

from __future__ import annotations

import asyncio

import ray
from ray import tune


@ray.remote(num_cpus=0, max_concurrency=100)
class Turnstile:
    """Lets one report through at a time.

    Args:
        workers: Trials at once.
        trials: Of the run.
    """

    def __init__(self, workers, trials):
        self.workers, self.left, self.now = workers, trials, 0.0
        self.waiting = {}

    async def pass_through(self, trial, seconds):
        """Return when the step of `trial` that takes `seconds` has ended."""
        door = asyncio.Event()
        # Nobody has gone through since this trial did, or since it was given its worker.
        self.waiting[trial] = (self.now + seconds, door)
        self._open()
        await door.wait()

    async def gone(self, trial):
        """A trial has ended."""
        self.left -= 1
        self.waiting.pop(trial, None)
        self._open()

    def _open(self):
        if self.waiting and len(self.waiting) >= min(self.workers, self.left):
            trial, (self.now, door) = min(self.waiting.items(), key=lambda item: item[1][0])
            del self.waiting[trial]
            door.set()


class Attendant(tune.Callback):
    """Tells the turnstile of trials that have ended."""

    def __init__(self, turnstile):
        self.turnstile = turnstile

    def on_trial_complete(self, iteration, trials, trial, **info):
        self.turnstile.gone.remote(trial.trial_id)
