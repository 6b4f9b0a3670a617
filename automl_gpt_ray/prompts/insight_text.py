"""What the optimiser knows as a few lines: one a hyperparameter, and its next suggestion."""

from __future__ import annotations

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.insight import Contrast, Insight, Quartiles, Shares
from automl_gpt_ray.prompts.detail import FULL, Detail
from automl_gpt_ray.prompts.history_text import changes
from automl_gpt_ray.prompts.quoting import number, quoted
from automl_gpt_ray.records import Scalar

MAX_VALUE = 60


def insight_lines(brief: Brief, insight: Insight, detail: Detail = FULL) -> str:
    """Return the insight for a prompt; empty where `detail` asks for none."""
    if not detail.contrasts:
        return ""
    rest = insight.trials - insight.best
    shown = insight.contrasts[: detail.contrasts]
    lines = [
        f"the best quarter ({insight.best}) and the rest ({rest}) of {insight.trials} finished trials:"
        " 25 %, 50 % and 75 % quantiles of each number, frequencies of each choice",
        *map(_line, shown),
    ]
    if len(shown) < len(insight.contrasts):
        lines.append(f"  and {len(insight.contrasts) - len(shown)} less important hyperparameters")
    if insight.suggestion is not None:
        lines.append(f"it would try next (changes from the default): {changes(brief, insight.suggestion)}")
    return "\n".join(lines)


def _line(contrast: Contrast) -> str:
    weight = "" if contrast.importance is None else f" | importance {contrast.importance:.2f}"
    return f"  {quoted(contrast.name)}: best {_spread(contrast.best)} | rest {_spread(contrast.rest)}{weight}"


def _spread(spread: Quartiles | Shares | None) -> str:
    if spread is None:
        return "-"
    return ", ".join(_share(*pair) if isinstance(pair, tuple) else number(pair, 3) for pair in spread)


def _share(value: Scalar, share: float) -> str:
    return f"{quoted(value, MAX_VALUE)} {share:.0%}"
