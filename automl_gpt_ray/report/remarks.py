"""What people said while a run went on, and what was changed about trials as they trained."""

from __future__ import annotations

from typing import Any

from automl_gpt_ray.job_events import FeedbackGiven
from automl_gpt_ray.lineage import told
from automl_gpt_ray.report.story import Story


def feedback(story: Story) -> list[dict[str, Any]]:
    """Return each remark with its hints, when it was given, and which trials knew of it."""
    found = []
    for moment, given in story.at(FeedbackGiven):
        said = given.feedback
        hints = [f"{name} = {value}" for name, value in said.fixed.items()]
        hints += [f"{name} from {low:g} to {high:g}" for name, (low, high) in said.narrowed.items()]
        hints += [f"{name} is free again" for name in said.freed]
        knew = [
            story.numbers[trial.id]
            for trial in story.history.trials
            if any("feedback" in note and said.id in note for note in trial.proposal.notes)
        ]
        problems = [str(problem) for problem in given.problems]
        found.append({"at": moment.seconds, "text": said.text, "hints": hints, "problems": problems, "trials": knew})
    return found


def revisions(story: Story) -> list[dict[str, Any]]:
    """Return what was changed about each trial, in order of trial and step, with the trials that grew out of others."""
    found = []
    for trial in story.history.trials:
        parent = trial.lineage.parent
        if parent:
            grew = f"goes on from step {parent.step} of trial {story.numbers.get(parent.trial, '?')}"
            found.append(
                {"trial": story.numbers[trial.id], "step": parent.step, "what": grew, "outcome": "", "value": None}
            )
        for applied in trial.lineage.applied:
            row = {"trial": story.numbers[trial.id], "step": applied.step, "what": told(applied)}
            found.append({**row, "outcome": applied.outcome.replace("_", " "), "value": applied.value})
    return found
