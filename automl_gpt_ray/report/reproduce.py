"""How to come by the same again: the job as one file, the commands, and the versions that decided."""

from __future__ import annotations

import shlex
from typing import Any

from automl_gpt_ray.report.story import Story
from automl_gpt_ray.yaml_file import dump_yaml


def reproduce(story: Story) -> dict[str, Any]:
    """Return `job` (a job file as text, empty where the run had none), `commands` with what each does, `versions`."""
    folder, job = shlex.quote(str(story.folder)), job_text(story)
    commands = [
        (f"automl-gpt-ray replay {folder}", "derives every decision again from the journal, offline"),
        (f"automl-gpt-ray run --resume {folder}", "carries the run on"),
    ]
    if job:
        again = (f"automl-gpt-ray run job.yaml --seed {story.started.seed}", "runs the job below again, from its start")
        commands.insert(0, again)
    about, team = story.started.about, story.book.team
    versions = {"automl-gpt-ray": about.get("package"), "prompt": about.get("prompt_version")}
    versions |= dict(team.versions) if team else {}
    return {
        "job": job,
        "commands": commands,
        "seed": story.started.seed,
        "versions": [(name, str(version)) for name, version in versions.items() if version],
    }


def job_text(story: Story) -> str:
    """Return the job with its cards inside, as YAML that `run` takes; empty where the run was not one of a job."""
    if not story.job:
        return ""
    told = {k: v for k, v in story.job.items() if v not in (None, {}, []) and k not in ("data_card", "model_card")}
    brief = story.started.brief
    cards = {f"{name}_card": brief[name] for name in ("data", "model") if name in brief}
    return dump_yaml({**told, **cards})
