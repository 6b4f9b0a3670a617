"""What `run` answers the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_gpt_ray.outcome import Outcome

NOTHING = 1
"""No trial gave a usable value."""
OUTAGE = 3
"""An outage ended the run, as `llm.on_outage: fail` asks; what it found is kept."""
INTERRUPTED = 130
"""Ctrl-C ended it, as a shell says it of any command; what it found is kept too."""


def exit_code(outcome: Outcome) -> int:
    """Return the exit code of a run that came to `outcome`."""
    from automl_gpt_ray.budget import INTERRUPTED as STOPPED  # not before: a command starts fast

    if outcome.failed:
        return OUTAGE
    if outcome.ended_by == STOPPED:
        return INTERRUPTED
    return NOTHING if outcome.best_config is None else 0
