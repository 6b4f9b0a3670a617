"""The `experience` part of a job file."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

VARIABLE = "AUTOML_GPT_RAY_EXPERIENCE"
"""Environment variable with the place of the store for jobs that name none; `off` for no store."""

FOLDER = "experience"
"""The store's folder below `storage_path` where neither the job nor the variable names a place."""

OFF = "off"


class ExperienceOptions(BaseModel):
    """Where finished runs are remembered, and how much of them is told to new ones.

    Attributes:
        path: Folder, or a URI (`s3://…`, `gs://…`); `off` remembers and recalls nothing. None: the place that
            the variable `AUTOML_GPT_RAY_EXPERIENCE` names, else `experience` below `storage_path`.
        recall: Runs on the most similar data sets that are recalled; 0 only remembers.
        seeds: Settings of theirs that are tried right after the default.
        encoder: Hub id or folder of a text encoder for `transformers`; None compares by TF-IDF.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | None = Field(default=None, min_length=1)
    recall: int = Field(default=3, ge=0, le=10)
    seeds: int = Field(default=2, ge=0, le=10)
    encoder: str | None = Field(default=None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) or value is False else value

    @field_validator("path", mode="before")
    @classmethod
    def _off(cls, path: Any) -> Any:
        # Older YAML means false by `off` and `no`; nobody means a folder of that name.
        return OFF if path is False or (isinstance(path, str) and path.lower() in (OFF, "no", "false")) else path


def place_of(options: ExperienceOptions, storage_path: str, environment: str | None) -> str | None:
    """Return where the store is; None for none.

    Args:
        options: Of the job.
        storage_path: Of the job.
        environment: Value of `VARIABLE`.
    """
    from automl_gpt_ray.storage import joined  # pyarrow is slow to import, and a job file needs none

    place = options.path or environment or joined(storage_path, FOLDER)
    return None if place == OFF else place
