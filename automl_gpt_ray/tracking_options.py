"""What a job file says of experiment trackers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

_STRICT = ConfigDict(extra="forbid", frozen=True)


class MLflowOptions(BaseModel):
    """MLflow, through Ray's callback. Needs the extra `mlflow`; a server's token comes from the environment only.

    Attributes:
        tracking_uri: Of a server, or a database; None for `MLFLOW_TRACKING_URI`, else MLflow's own default.
        experiment_name: The experiment; None for the job's name.
    """

    model_config = _STRICT

    tracking_uri: str | None = Field(default=None, min_length=1)
    experiment_name: str | None = Field(default=None, min_length=1)

    @field_validator("tracking_uri")
    @classmethod
    def _no_credentials(cls, uri: str | None) -> str | None:
        # The job is kept in the run folder.
        if uri is not None and "@" in uri:
            raise ValueError("must not hold a name or a key | put the whole address into `MLFLOW_TRACKING_URI`")
        return uri


class WandbOptions(BaseModel):
    """Weights & Biases, through Ray's callback. Needs the extra `wandb`; its key comes from the environment only.

    Attributes:
        project: The project; None for the job's name.
        group: Of the trials; None for the run folder's.
    """

    model_config = _STRICT

    project: str | None = Field(default=None, min_length=1)
    group: str | None = Field(default=None, min_length=1)


class TrackingOptions(BaseModel):
    """Trackers that follow the trials, each with who proposed it, why, and what was predicted of it.

    Attributes:
        mlflow: Whether and how MLflow does; `{}` for its defaults.
        wandb: Whether and how Weights & Biases does; `{}` for its defaults.
    """

    model_config = _STRICT

    mlflow: MLflowOptions | None = None
    wandb: WandbOptions | None = None
