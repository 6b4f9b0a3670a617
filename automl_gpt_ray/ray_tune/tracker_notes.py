"""What trackers are told of a trial besides its results: who proposed it, why, what was predicted and decided."""

from __future__ import annotations

from automl_gpt_ray.book import Book
from automl_gpt_ray.lineage import told
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.records import TrialRecord

MOST_TEXT = 2000
"""Characters of a text that is attached."""


def tags_of(record: TrialRecord) -> dict[str, str]:
    """Return `proposed_by`, `reason` and, where there is one, `predicted_log`."""
    made = record.proposal
    log = made.predicted_log
    course = ", ".join(f"{p.step}: {p.value:.4g} ({p.low:.4g} to {p.high:.4g})" for p in log.points) if log else ""
    tags = {"proposed_by": made.source, "reason": _text(made.reason)}
    return tags | ({"predicted_log": _text(f"{log.metric} by {log.source}: {course}")} if log else {})


def notes_of(book: Book, trial: str) -> dict[str, str]:
    """Return `decisions` and `revisions`: what was decided about a trial and changed about it."""
    made = [d for d in book.decisions if d.subject == trial]
    decisions = "\n".join(f"step {d.step}: {d.action} by {d.by}: {d.reason}" for d in made)
    record = book.trial(trial)
    revisions = "\n".join(told(applied) for applied in record.lineage.applied) if record else ""
    return {name: _text(text) for name, text in (("decisions", decisions), ("revisions", revisions)) if text}


def _text(text: str) -> str:
    return redact(text, secrets_in())[:MOST_TEXT]
