"""The limits of a request in the terminal: how the best trial stands, and what the others trade."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from automl_gpt_ray.limits import Limit
from automl_gpt_ray.outcome import Outcome


def show_limits(console: Console, outcome: Outcome) -> None:
    """Print the table of the metric against the limited quantities; nothing where the request limits nothing."""
    if not outcome.limits:
        return
    for check in outcome.limits:
        limit = Limit(check.name, check.low, check.high)
        verdict = "not measured" if check.kept is None else "kept" if check.kept else "BROKEN"
        value = "" if check.measured is None else f" ({check.measured:.4g})"
        console.print(f"limit {limit}: {verdict}{value}", markup=False)
    names = [check.name for check in outcome.limits]
    table = Table(
        "trial", "proposed by", escape(outcome.metric), *map(escape, names), "limits", title="what trials trade"
    )
    for row in outcome.pareto:
        cells = [
            row.trial,
            row.source,
            f"{row.value:.4f}",
            *(f"{row.measured[name]:.4g}" for name in names),
            row.standing,
        ]
        table.add_row(*map(escape, cells))
    if outcome.pareto:
        console.print(table)
