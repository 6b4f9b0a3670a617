"""The Model Card: what a model is, what may be chosen about it, and how it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from automl_gpt_ray.cards.data_card import InputType, Task
from automl_gpt_ray.cards.free_text import FreeText
from automl_gpt_ray.errors import CardError, FieldProblems, Problem, SpaceError, did_you_mean
from automl_gpt_ray.parameters import ConstantParameter, Parameter
from automl_gpt_ray.space import SearchSpace
from automl_gpt_ray.yaml_file import build, read_yaml

Group = Literal["data_processing", "architecture", "hyperparameters"]
GROUPS: tuple[Group, ...] = ("data_processing", "architecture", "hyperparameters")
"""The three things the paper's prompt asks for, in its order."""
WHOLE_FIT = "whole fit"
"""The `step` of a model that cannot grow."""


class Suits(BaseModel):
    """What a model suits, for matching it with tasks; None where nothing is known.

    Attributes:
        gpu: Whether training it without a GPU is no use.
        min_examples: Training examples below which others do better.
        max_examples: Training examples above which it is too slow.
        max_classes: Most classes it can tell apart.
        model_size_mb: What its weights take, in megabytes.
        latency_ms: What an example takes, in milliseconds.
        memory_mb: What a training takes at its peak, in megabytes.
        training_seconds: What a full training takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: bool = False
    min_examples: int | None = Field(default=None, ge=1)
    max_examples: int | None = Field(default=None, ge=1)
    max_classes: int | None = Field(default=None, ge=2)
    model_size_mb: float | None = Field(default=None, gt=0)
    latency_ms: float | None = Field(default=None, gt=0)
    memory_mb: float | None = Field(default=None, gt=0)
    training_seconds: float | None = Field(default=None, gt=0)


class ModelCard(BaseModel):
    """A model: name, structure, description, what may be chosen, and how it is trained.

    The three groups together are one flat search space; a name may stand in one group only, and
    conditions (`when`) may refer to names of the same or an earlier group.

    Attributes:
        name: Short, unique name.
        structure: The architecture in one line.
        description: What it is good at, in words. Untrusted text.
        tasks: Tasks it serves.
        input_types: Inputs it takes.
        data_processing: Choices about the data (imputation, augmentation, encoding, ...).
        architecture: Hyperparameters of its structure; changing one means a new model.
        hyperparameters: Hyperparameters of its training.
        hot: Names that may change while a trial trains.
        clone: Names that may change in a child trial, which goes on from the checkpoint of a trial that trains.
        trainable: `package.module:function`, called as a Ray Tune function trainable.
        evaluate: `package.module:function` that scores a checkpoint on the test split; by default
            the function `evaluate` beside the trainable, where there is one.
        step: What one training step of the card is (`epoch`, `10 boosting rounds`); `whole fit` where there is
            only one, whatever a job's `max_steps`.
        max_steps: Steps of a full training.
        suits: What it suits, for matching it with tasks.
        source: Where the default settings come from.
        licence: Licence of the model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FreeText = Field(min_length=1, max_length=200)
    structure: FreeText
    description: FreeText = ""
    tasks: list[Task] = Field(min_length=1)
    input_types: list[InputType] = Field(min_length=1)
    data_processing: dict[str, Parameter] = Field(default_factory=dict)
    architecture: dict[str, Parameter] = Field(default_factory=dict)
    hyperparameters: dict[str, Parameter] = Field(min_length=1)
    hot: list[str] = Field(default_factory=list)
    clone: list[str] = Field(default_factory=list)
    trainable: str
    evaluate: str | None = None
    step: str = "epoch"
    max_steps: int = Field(default=10, ge=1)
    suits: Suits = Field(default_factory=Suits)
    source: FreeText = ""
    licence: FreeText = ""

    @field_validator("trainable", "evaluate")
    @classmethod
    def _importable_name(cls, name: str | None) -> str | None:
        if name is not None and not all(p and p.replace(".", "_").isidentifier() for p in name.split(":", 1)):
            raise ValueError("must be written `package.module:function` | name an importable function")
        if name is not None and ":" not in name:
            raise ValueError("must be written `package.module:function` | name an importable function")
        return name

    @field_validator(*GROUPS)
    @classmethod
    def _group(cls, group: dict[str, Parameter], info: ValidationInfo) -> dict[str, Parameter]:
        earlier: dict[str, Parameter] = {}
        for name in GROUPS[: GROUPS.index(cast("Group", info.field_name))]:
            earlier.update(info.data.get(name, {}))
        problems = [*_repeated(group, earlier), *_without_default(group)]
        try:
            SearchSpace({**earlier, **group})
        except SpaceError as error:
            problems += error.problems
        if problems:
            raise FieldProblems(problems)
        return group

    @field_validator("hot", "clone")
    @classmethod
    def _known(cls, listed: list[str], info: ValidationInfo) -> list[str]:
        names = {name for group in GROUPS for name in info.data.get(group, {})}
        unknown = [name for name in listed if name not in names]
        # Where a group was itself refused, its names are unknown here through no fault of this list.
        if unknown and all(group in info.data for group in GROUPS):
            raise ValueError(f"`{unknown[0]}` is not a hyperparameter of this card | {did_you_mean(unknown[0], names)}")
        twice = [name for name in listed if name in info.data.get("hot", ())]
        if twice and info.field_name == "clone":
            raise ValueError(f"`{twice[0]}` is in `hot` already | a name changes in place or by a clone, not both")
        return listed

    @property
    def space(self) -> SearchSpace:
        """All three groups as one search space, in the paper's order."""
        return SearchSpace({n: p for group in GROUPS for n, p in getattr(self, group).items()})

    def steps(self, asked: int | None = None) -> int:
        """Return the steps of a full training where a job asks for so many; one where a step is a whole fit."""
        return 1 if self.step == WHOLE_FIT else asked or self.max_steps

    def group_of(self, name: str) -> Group:
        """Return the group that hyperparameter `name` stands in."""
        return next(group for group in GROUPS if name in getattr(self, group))


def load_model_card(path: str | Path) -> ModelCard:
    """Read a Model Card from a YAML file.

    Raises:
        CardError: With every problem found, a default missing from a hyperparameter included.
    """
    file = Path(path)
    return parse_model_card(read_yaml(file, CardError), str(file))


def parse_model_card(values: dict[str, Any], source: str = "model card") -> ModelCard:
    """Check `values` and return the Model Card; errors as in `load_model_card`."""
    return build(ModelCard, values, source, CardError)


def _repeated(group: dict[str, Parameter], earlier: dict[str, Parameter]) -> list[Problem]:
    return [Problem(name, "stands in two groups", remedy="keep it in one") for name in group if name in earlier]


def _without_default(group: dict[str, Parameter]) -> list[Problem]:
    remedy = "every method starts from the card's default configuration: give one"
    return [
        Problem(f"{name}.default", "required key is missing", remedy=remedy)
        for name, parameter in group.items()
        if not isinstance(parameter, ConstantParameter) and "default" not in parameter.model_fields_set
    ]
