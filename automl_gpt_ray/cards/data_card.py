"""The Data Card: what a data set is, and how to load it (arXiv 2305.02499, sec. 3.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from automl_gpt_ray.cards.free_text import FreeText
from automl_gpt_ray.errors import CardError, did_you_mean
from automl_gpt_ray.metrics import METRICS
from automl_gpt_ray.records import Scalar
from automl_gpt_ray.yaml_file import build, read_yaml

InputType = Literal["tabular", "image", "text", "text_pair", "audio", "other"]
Task = Literal["classification", "regression", "object_detection", "retrieval", "question_answering", "other"]
_STRICT = ConfigDict(extra="forbid", frozen=True)


class LabelSpace(BaseModel):
    """What is to be predicted.

    Attributes:
        column: Column that holds the label, for tables.
        classes: Class names in the order of their index; given for classification and detection.
        low: Smallest possible target, for regression; None where unbounded or unknown.
        high: Largest possible target, for regression.
    """

    model_config = _STRICT

    column: str | None = None
    classes: list[str | int | bool] = Field(default_factory=list)
    low: float | None = None
    high: float | None = None

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str | int | bool]) -> list[str | int | bool]:
        names = [str(c) for c in classes]
        if len(set(names)) != len(names):
            raise ValueError("class names must differ | remove the repeated one")
        return classes

    @property
    def names(self) -> list[str]:
        """Class names as text."""
        return [str(c) for c in self.classes]


MISSING = ("", "?", "NA", "NaN", "nan", "null")
"""Texts that mean "missing" in a CSV file whose card says nothing else."""


class Loading(BaseModel):
    """Where the data lies and how it is read. The job's `data.path` replaces `path`.

    Attributes:
        format: `sklearn` (a bundled set), `csv`, `parquet`, `image_folder`, `idx` (MNIST), `coco`
            (instances JSON; `files` names `train_annotations` and the folder `train_images`, ...), `dpr`
            (questions in DPR's JSON; `files` names `passages` too), or `custom` when the trainable loads its own data.
        name: Name of the scikit-learn set (`digits`), or of a hub data set.
        path: Folder or file; relative paths are relative to the card.
        files: Split name to file name within `path`; a `.gz` beside the name is found too.
        url: Folder to fetch `files` from when they are absent.
        md5: File name to the MD5 of its unpacked content, checked after fetching.
        columns: Column names for a CSV file without a header.
        split_column: Column naming each row's split, for a single file.
        missing: Texts that mean "missing" in a CSV file.
        comment: Lines beginning with this are skipped in a CSV file.
        label_strip: Characters stripped from the end of labels.
        drop: Columns that must not be used as features; an index that pandas saved needs not be named.
        image_column: Column with encoded images, for parquet.
        text_columns: The column with the text, or the two of a text pair; by default `text`.
        delimiter: Between the values of a CSV file; by default what its first line shows.
        quoted: Whether `"` encloses values in a CSV file; false where it is an ordinary character.
        decimal: What stands before the fraction of a number in a CSV file.
        thousands: What stands between the thousands of a number in a CSV file.
    """

    model_config = _STRICT

    format: Literal["sklearn", "csv", "parquet", "image_folder", "idx", "coco", "dpr", "custom"]
    name: str | None = None
    path: str | None = None
    files: dict[str, str] = Field(default_factory=dict)
    url: str | None = None
    md5: dict[str, str] = Field(default_factory=dict)
    columns: list[str] = Field(default_factory=list)
    split_column: str | None = None
    missing: list[str] = Field(default_factory=lambda: list(MISSING))
    comment: str | None = None
    label_strip: str = ""
    drop: list[str] = Field(default_factory=list)
    image_column: str | None = None
    text_columns: list[str] = Field(default_factory=list, max_length=2)
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    quoted: bool = True
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None


class Column(BaseModel):
    """One column of a table, as `describe` found it; the training data must have it."""

    model_config = _STRICT

    name: str
    type: Literal["number", "category", "text", "boolean", "date", "other"]
    missing: float = Field(default=0.0, ge=0, le=1)
    distinct: int | None = Field(default=None, ge=0)


class DataCard(BaseModel):
    """A data set: name, input type, label space, evaluation metric, and how to load it.

    Attributes:
        name: Short, unique name.
        task: What is asked of a model.
        input_type: What an example is.
        label_space: What is predicted; classification needs at least two classes.
        metric: Default evaluation metric, one of `metrics.METRICS`.
        size: Split name to number of examples (`train`, `validation`, `test`).
        validation_share: Share of `train` held out where no `validation` split exists.
        test_share: Share held out as test data where no `test` split exists; 0 for none.
        description: What the data is, in words. Untrusted text.
        columns: For tables.
        groups: Columns of a table that tell groups of people apart, over which a model is compared (`metrics.GAPS`);
            they are features too, unless `load.drop` names them.
        label_balance: Class name to share of examples.
        image_shape: Height, width, channels, for images.
        load: How to load it.
        source: Origin.
        licence: Licence.
    """

    model_config = _STRICT

    name: FreeText = Field(min_length=1, max_length=200)
    task: Task
    input_type: InputType
    label_space: LabelSpace
    metric: str
    size: dict[str, int] = Field(default_factory=dict)
    validation_share: float = Field(default=0.2, gt=0, lt=1)
    test_share: float = Field(default=0.2, ge=0, lt=1)
    description: FreeText = ""
    columns: list[Column] = Field(default_factory=list)
    groups: list[str] = Field(default_factory=list, max_length=5)
    label_balance: dict[str, float] = Field(default_factory=dict)
    image_shape: tuple[int, int, int] | None = None
    load: Loading | None = None
    source: FreeText = ""
    licence: FreeText = ""

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"must be a known metric | {did_you_mean(metric, METRICS)}")
        return metric

    @field_validator("size")
    @classmethod
    def _positive(cls, size: dict[str, int]) -> dict[str, int]:
        empty = [split for split, count in size.items() if count <= 0]
        if empty:
            raise ValueError(f"split `{empty[0]}` must hold at least one example | correct or remove it")
        return size

    @field_validator("label_space")
    @classmethod
    def _labels(cls, labels: LabelSpace, info: ValidationInfo) -> LabelSpace:
        task, count = info.data.get("task"), len(labels.classes)
        if task in ("classification", "object_detection") and count == 0:
            raise ValueError("`classes` must not be empty | list the class names")
        if task == "classification" and count == 1:
            raise ValueError("`classes` needs at least two classes | list them all")
        return labels

    @field_validator("groups")
    @classmethod
    def _grouped(cls, groups: list[str], info: ValidationInfo) -> list[str]:
        if groups and info.data.get("input_type") != "tabular":
            raise ValueError("needs a table: groups are told apart by a column | remove it")
        names = [column.name for column in info.data.get("columns", [])]
        absent = [group for group in groups if names and group not in names]
        if absent:
            raise ValueError(f"`{absent[0]}` must be one of `columns` | {did_you_mean(absent[0], names)}")
        return groups

    @field_validator("load")
    @classmethod
    def _loadable(cls, load: Loading | None, info: ValidationInfo) -> Loading | None:
        if load is None:
            return load
        labels = info.data.get("label_space")
        table = info.data.get("input_type") == "tabular" and load.format in ("csv", "parquet")
        if table and labels is not None and not labels.column:
            raise ValueError("a table's label column must be known | add `label_space.column`")
        if load.format == "sklearn" and not load.name:
            raise ValueError("`name` must name the bundled set | add `name: digits`, for example")
        return load

    def resolved(self, folder: Path) -> DataCard:
        """Return this card with a relative `load.path` made absolute below `folder`."""
        if self.load is None or self.load.path is None or "://" in self.load.path:
            return self
        path = Path(self.load.path).expanduser()
        absolute = path if path.is_absolute() else (folder / path).resolve()
        return self.model_copy(update={"load": self.load.model_copy(update={"path": str(absolute)})})


def load_data_card(path: str | Path) -> DataCard:
    """Read a Data Card from a YAML file.

    Raises:
        CardError: With every problem found.
    """
    file = Path(path)
    return parse_data_card(read_yaml(file, CardError), str(file)).resolved(file.parent)


def parse_data_card(values: dict[str, Scalar] | dict[str, Any], source: str = "data card") -> DataCard:
    """Check `values` and return the Data Card; errors as in `load_data_card`."""
    return build(DataCard, values, source, CardError)
