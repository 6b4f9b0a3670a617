"""`plan`: what a job would begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from automl_gpt_ray.config import LoadedJob


def show(console: Console, loaded: LoadedJob, proposals: int) -> int:
    """Show the plan of a job and return the exit code: 1 where its language model proposed nothing.

    Args:
        console: Where.
        loaded: The job.
        proposals: How many besides the default.
    """
    from automl_gpt_ray.experience.keeping import recalled
    from automl_gpt_ray.llm.configured import configured
    from automl_gpt_ray.plan import make_plan
    from automl_gpt_ray.terminal import show_plan, show_start

    loaded = recalled(loaded, lambda line: console.print(line, markup=False, highlight=False))
    show_start(console, loaded)
    made = make_plan(loaded, configured(loaded.job.llm) if loaded.job.llm else None, proposals)
    show_plan(console, made)
    return 1 if made.problem else 0
