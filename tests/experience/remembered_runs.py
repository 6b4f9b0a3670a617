"""Remembered runs of no real training."""

from __future__ import annotations

from small_runs import full_brief, trial

from automl_gpt_ray.experience.run_record import Experience
from automl_gpt_ray.records import TrialState


def remembered(run="leaves-1", data=None, model=None, values=(0.6, 0.7), etas=(0.3, 0.05), request=None):
    """A run whose trials reached `values` with these etas; the first is the default."""
    brief = full_brief(data, model, request)
    default = dict(brief.space.default)
    trials = [
        trial(i, {**default, "eta": eta}, [value / 2, value], source="default" if i == 0 else "classical")
        for i, (value, eta) in enumerate(zip(values, etas, strict=True))
    ]
    trials.append(trial(9, {**default, "depth": 12}, [], TrialState.FAILED, "oom"))
    return Experience(run, "leaves", 1.7e9, "0.1.0", 3, brief, tuple(trials), {"test": {"accuracy": 0.5}})
