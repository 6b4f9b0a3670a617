"""What is known of similar data sets as a few lines: one a run, and its best settings with their logs."""

from __future__ import annotations

from collections.abc import Iterator

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.prompts.detail import FULL, Detail
from automl_gpt_ray.prompts.history_text import MAX_VALUE, changes
from automl_gpt_ray.prompts.quoting import number, quoted
from automl_gpt_ray.recollection import RecalledRun, RecalledSetting

MAX_NAME, MAX_NAMES = 120, 24


def experience_lines(brief: Brief, detail: Detail = FULL) -> str:
    """Return what was recalled, for a prompt; empty where nothing was."""
    if brief.recollection is None:
        return ""
    return "\n".join(line for run in brief.recollection.runs[: detail.recalled] for line in _lines(run, brief, detail))


def _lines(run: RecalledRun, brief: Brief, detail: Detail) -> Iterator[str]:
    own = brief.model is not None and run.model == brief.model.name
    model = "the same model" if own else f"model {quoted(run.model, MAX_NAME)}"
    verb = "maximising" if run.mode == "max" else "minimising"
    yield (
        f"{quoted(run.data, MAX_NAME)}, {run.similarity:.0%} like this data; {model}; {run.trials} trials of "
        f"{run.max_step} steps {verb} {quoted(run.metric, MAX_NAME)}; its default reached {number(run.default)}"
    )
    if run.description:
        yield f"  description: {quoted(run.description, detail.text)}"
    for setting in run.settings[: detail.recalled]:
        yield _setting(setting, brief, own)


def _setting(setting: RecalledSetting, brief: Brief, own: bool) -> str:
    log = ", ".join(f"{step}: {number(value)}" for step, value in setting.curve)
    named = dict(list(setting.config.items())[:MAX_NAMES])
    config = f"changes from the default {changes(brief, named)}" if own else quoted(named, MAX_VALUE)
    return f"  {number(setting.value)} | {config} | log {{{log}}}"
