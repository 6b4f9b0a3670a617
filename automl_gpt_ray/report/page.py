"""The page: what the other modules found, as one HTML file that needs no network and no other file.

Everything in a journal may be somebody's text. It reaches the page in two ways only: through templates that escape
it, and as JSON that no `</script>` can end, from which the page's own script makes text nodes. The page forbids
itself every other script and every connection (Content-Security-Policy).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from automl_gpt_ray import __version__
from automl_gpt_ray.curves.ledger import Ledger
from automl_gpt_ray.journal import json_values
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.report.account import account, budget, shares, sources
from automl_gpt_ray.report.anytime import anytime
from automl_gpt_ray.report.calls import calls
from automl_gpt_ray.report.importance import importances, parallel
from automl_gpt_ray.report.remarks import feedback, revisions
from automl_gpt_ray.report.reproduce import reproduce
from automl_gpt_ray.report.story import Story, read_story
from automl_gpt_ray.report.summary import best, counts, headline, limits
from automl_gpt_ray.report.thinning import most_points
from automl_gpt_ray.report.trials import FEWER, trial_rows
from automl_gpt_ray.report.verdict import calibration, decided, failures, ledger_of, scored_trials

FILE_NAME = "report.html"
SCRIPTS = ("drawing.js", "calls.js", "trials.js", "charts.js", "start.js")


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run and return its path.

    Args:
        folder: The run folder.
        out: Where to; by default `report.html` in the run folder.

    Raises:
        JobError: There is no run.
        JournalError: Its journal cannot be read.
        OSError: The report cannot be written.
    """
    story = read_story(folder)
    path = Path(out).expanduser().absolute() if out else story.folder / FILE_NAME
    path.write_text(render(story), encoding="utf-8")
    return path


def render(story: Story) -> str:
    """Return the report as HTML."""
    ledger, asked = ledger_of(story), calls(story)
    return filled("report.html.j2", _clean(_told(story, ledger, asked)), _clean(_drawn(story, ledger, asked)))


def filled(template: str, told: dict[str, Any], data: Any, scripts: Sequence[str] = SCRIPTS) -> str:
    """Return a template filled with `told`, with the page's style and script, and `data` for the script."""
    script = "\n".join(_text(name) for name in scripts)
    mark = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            told,
            style=Markup(_text("style.css")),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            policy=f"default-src 'none'; script-src 'sha256-{mark}'; style-src 'unsafe-inline'; img-src data:",
            data=Markup(_json(data)),  # noqa: S704 - escaped by `_json`
            version=__version__,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def _told(story: Story, ledger: Ledger, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template says in words and tables."""
    broken = [
        {"name": name, "count": len(trials), "trials": [story.numbers[t.id] for t in trials[:12]]}
        for name, trials in failures(story)
    ]
    return {
        "head": headline(story),
        "best": best(story),
        "counts": counts(story),
        "metric": story.objective.metric,
        "mode": story.objective.mode,
        "step": story.step,
        "limits": limits(story),
        "account": account(story),
        "budget": budget(story),
        "sources": sources(story),
        "decided": decided(story),
        "scores": ledger.scores(),
        "calibration": [c["source"] for c in calibration(ledger) if c["points"]],
        "scored": [len(scored_trials(story)), len(story.history.trials)],
        "failures": broken,
        "revisions": revisions(story),
        "feedback": feedback(story),
        "calls": len(asked["calls"]),
        "again": reproduce(story),
        "most_points": most_points(len(story.history.trials)),
        "few_forecasts": len(story.history.trials) > FEWER,
    }


def _drawn(story: Story, ledger: Ledger, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the script draws."""
    weights, top = importances(story), story.best
    return {
        "metric": story.objective.metric,
        "mode": story.objective.mode,
        "maxStep": story.history.max_step,
        "step": story.step,
        "best": story.numbers[top.id] if top else None,
        "anytime": anytime(story),
        "trials": trial_rows(story),
        "importance": weights,
        "parallel": parallel(story, weights),
        "calibration": calibration(ledger),
        "shares": shares(story),
        **asked,
    }


def _clean(value: dict[str, Any]) -> dict[str, Any]:
    """Return JSON values without anything that looks like a key; NaN and infinities as text."""
    # The journal was redacted as it was written; a key set since then, or another machine's journal, was not.
    plain = json.loads(json.dumps(value, default=_plain))
    cleaned: dict[str, Any] = json_values(plain, partial(redact, secrets=secrets_in()))
    return cleaned


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def _json(data: Any) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _number(value: Any, digits: int = 4) -> str:
    return f"{value:.{digits}g}" if isinstance(value, int | float) else "–" if value is None else str(value)


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _text(name: str) -> str:
    return _environment().loader.get_source(_environment(), name)[0]  # type: ignore[union-attr]


@cache
def _environment() -> Environment:
    loader = PackageLoader("automl_gpt_ray.report", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": _number, "when": _when}
    return environment
