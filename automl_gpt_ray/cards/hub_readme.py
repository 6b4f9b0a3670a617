"""The README of a hub model or data set: its YAML front matter and first words, as one record.

The front matter is untrusted: read with a safe loader, capped in size, and only scalars of it are
kept. Knows the hub's words and none of ours: `hub` translates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from automl_gpt_ray.cards.free_text import printable
from automl_gpt_ray.errors import CardError, Problem, shown
from automl_gpt_ray.yaml_file import parse_yaml

MAX_FILE = 1024 * 1024
"""Largest README read, in bytes."""
MAX_DESCRIPTION = 2_000
"""Longest description kept, in characters."""
MAX_ITEMS = 1_000
"""Most items kept of a list."""


class HubResult(BaseModel):
    """One reported result of a model: a metric on a data set."""

    model_config = ConfigDict(frozen=True)

    task: str = ""
    dataset: str = ""
    metric: str = ""
    value: float | str | None = None


class HubCard(BaseModel):
    """What a hub README states about a model or a data set; empty where it does not.

    Attributes:
        source: The file it was read from.
        title: `pretty_name`, the model's name in `model-index`, or the first heading.
        description: First paragraph of prose, at most `MAX_DESCRIPTION` characters. Untrusted text.
        tasks: Hub task names: `pipeline_tag`, then `task_categories`.
        splits: Split name to number of examples.
        features: Column name to its type as the hub writes it.
        class_names: Names of the classes, in the order of their index.
        label_column: The column these classes belong to.
        results: From `model-index`.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    title: str = ""
    description: str = ""
    license: str = ""
    language: list[str] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    tasks: list[str] = Field(default_factory=list)
    library_name: str = ""
    base_model: list[str] = Field(default_factory=list)
    datasets: list[str] = Field(default_factory=list)
    metrics: list[str] = Field(default_factory=list)
    size_categories: list[str] = Field(default_factory=list)
    splits: dict[str, int] = Field(default_factory=dict)
    features: dict[str, str] = Field(default_factory=dict)
    class_names: list[str] = Field(default_factory=list)
    label_column: str | None = None
    results: list[HubResult] = Field(default_factory=list)


def read_hub_card(path: str | Path) -> HubCard:
    """Read the README.md of a hub model or data set.

    Raises:
        CardError: No such file, over `MAX_FILE`, no front matter, or front matter that is not YAML.
    """
    file = Path(path)
    front, prose = _parts(file)
    info = _first_mapping(front.get("dataset_info"))
    features, label, classes = _features(info.get("features"))
    index = _first_mapping(front.get("model-index"))
    return HubCard(
        source=str(file),
        title=_text(front.get("pretty_name")) or _text(index.get("name")) or _heading(prose),
        description=_paragraph(prose),
        license=_text(front.get("license")) or next(iter(_texts(front.get("license"))), ""),
        tasks=list(dict.fromkeys([*_texts(front.get("pipeline_tag")), *_texts(front.get("task_categories"))])),
        library_name=_text(front.get("library_name")),
        splits=_splits(info.get("splits")),
        features=features,
        class_names=classes,
        label_column=label,
        results=list(_results(index)),
        **{key: _texts(front.get(key)) for key in _LISTS},
    )


_LISTS = ("language", "tags", "base_model", "datasets", "metrics", "size_categories")


def _parts(file: Path) -> tuple[dict[str, Any], str]:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
        text = data.decode("utf-8-sig") if len(data) <= MAX_FILE else ""
    except (OSError, UnicodeDecodeError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise _error(file, "must be a readable text file", detail, "check the path") from None
    if len(data) > MAX_FILE:
        raise _error(file, f"must hold at most {MAX_FILE:,} bytes", "more", "shorten its prose")
    found = re.match(r"---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", text, re.DOTALL | re.MULTILINE)
    if found is None:
        remedy = "begin the file with YAML between two lines of `---`"
        raise _error(file, "must begin with front matter", shown(text[:40]), remedy)
    return parse_yaml(found[1], str(file), CardError), text[found.end() :]


def _error(file: Path, rule: str, got: str, remedy: str) -> CardError:
    return CardError(str(file), [Problem("(file)", rule, got, remedy)])


def _text(value: Any) -> str:
    return printable(str(value))[:MAX_DESCRIPTION].strip() if isinstance(value, str | int | float) else ""


def _texts(value: Any) -> list[str]:
    items = value[:MAX_ITEMS] if isinstance(value, list) else [value]
    return [text for item in items if (text := _text(item))]


def _mappings(value: Any) -> list[dict[Any, Any]]:
    items = value[:MAX_ITEMS] if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]


def _first_mapping(value: Any) -> dict[Any, Any]:
    return next(iter(_mappings(value)), {})


def _splits(value: Any) -> dict[str, int]:
    counts = {_text(s.get("name")): s.get("num_examples") for s in _mappings(value)}
    return {name: n for name, n in counts.items() if name and isinstance(n, int) and not isinstance(n, bool)}


def _features(value: Any) -> tuple[dict[str, str], str | None, list[str]]:
    """Return column types, and the last column with class names with these names by index."""
    types: dict[str, str] = {}
    label: str | None = None
    classes: list[str] = []
    for feature in _mappings(value):
        name, kind = _text(feature.get("name")), feature.get("dtype")
        names = _first_mapping(_first_mapping(kind).get("class_label")).get("names")
        types[name] = "class_label" if names is not None else _text(kind) or "nested"
        if names is not None:
            label, classes = name, _class_names(names)
    return types, label, classes


def _class_names(names: Any) -> list[str]:
    if not isinstance(names, dict):
        return _texts(names)
    numbered = [(int(str(i)), _text(n)) for i, n in list(names.items())[:MAX_ITEMS] if str(i).isdigit()]
    return [name for _, name in sorted(numbered)]


def _results(index: dict[Any, Any]) -> Iterator[HubResult]:
    for result in _mappings(index.get("results")):
        task, data = _first_mapping(result.get("task")), _first_mapping(result.get("dataset"))
        for metric in _mappings(result.get("metrics")):
            value = metric.get("value")
            yield HubResult(
                task=_text(task.get("type")),
                dataset=_text(data.get("name")) or _text(data.get("type")),
                metric=_text(metric.get("type")) or _text(metric.get("name")),
                value=value if isinstance(value, float) else _text(value) or None,
            )


def _heading(prose: str) -> str:
    found = re.search(r"^#{1,2}[ \t]+(.+)$", prose, re.MULTILINE)
    return _text(found[1]) if found else ""


def _paragraph(prose: str) -> str:
    """Return the first paragraph that is prose: no heading, list, table, code, image or HTML."""
    prose = re.sub(r"```.*?(```|\Z)|<!--.*?(-->|\Z)", "", prose, flags=re.DOTALL)
    for block in re.split(r"\n[ \t]*\n", prose.replace("\r\n", "\n")):
        lines = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith("#")]
        if lines and not re.match(r"[-*+|<>!\[=]|\d+\.\s", lines[0]):
            return _text(" ".join(lines))
    return ""
