"""What people said while the run goes on, as a few quoted lines: the latest remarks, the newest last."""

from __future__ import annotations

from automl_gpt_ray.feedback import MAX_TEXT, Feedback, told_at
from automl_gpt_ray.prompts.quoting import quoted
from automl_gpt_ray.records import History

MAX_VALUE = 120


def feedback_lines(history: History) -> str:
    """Return the remarks for a prompt; empty where nobody said anything."""
    return "\n".join(_line(said) for said in told_at(history.feedback, history.version))


def _line(said: Feedback) -> str:
    hints = {"fixed": dict(said.fixed), "narrowed": dict(said.narrowed), "free again": list(said.freed)}
    stated = {name: value for name, value in hints.items() if value}
    parts = [quoted(said.text, MAX_TEXT)] if said.text else []
    parts += [f"asks for {quoted(stated, MAX_VALUE)}"] if stated else []
    return f"{quoted(said.id, 20)}: {'; '.join(parts)}"
