"""Choice by merit: which of several models of the curves a run goes by.

All are asked the same questions, and their forecasts are scored against what happens (`curves.ledger`). The one
with the smallest loss decides; another takes over once it is better by MARGIN of the naive forecasts' loss, so
that equals do not take turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from automl_gpt_ray.curves.gate import MIN_TRIALS, Gate

MARGIN = 0.03


def best(names: Sequence[str], gates: Mapping[str, Gate], current: str) -> str:
    """Return whose model decides.

    Args:
        names: Of the models, those preferred where nothing is known first.
        gates: What is known of each; one without counts as not yet scored.
        current: Who decides now.
    """
    scored = {name: gates[name] for name in names if name in gates and gates[name].trials >= MIN_TRIALS}
    if not scored:
        return names[0]
    first = max(scored, key=lambda name: (scored[name].skill, -names.index(name)))
    if current in scored and scored[first].skill < scored[current].skill + MARGIN:
        return current
    return first
