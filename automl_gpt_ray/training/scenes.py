"""Scenes: pictures with boxes around objects, from COCO's instances JSON, by split.

Annotations are checked as they are read: what contradicts the Data Card is an error, what the field
leaves out (boxes without area, boxes of unknown pictures) is left out, counted and logged. Knows no model.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from automl_gpt_ray.cards import DataCard, Loading
from automl_gpt_ray.errors import DataError, Problem, did_you_mean, shown
from automl_gpt_ray.training import fetch, splits

_LOG = logging.getLogger(__name__)
_DECODED = 2000  # pictures of a split that a check decodes in full; the rest must merely be there
_LISTED = 3
_NOTES = {
    "clipped": "boxes reach outside their picture: clipped",
    "empty": "boxes have no area within their picture: skipped",
    "stray": "boxes belong to pictures that are not listed: skipped",
    "unlabelled": "pictures have no box: not trained on",
}


@dataclass(frozen=True)
class Scene:
    """A picture and its boxes.

    Attributes:
        number: Of the picture in its file.
        path: Of the picture.
        height: In pixels.
        width: In pixels.
        boxes: Shape (n, 4): left, top, width, height in pixels, within the picture.
        labels: Shape (n,), class indices.
        areas: Shape (n,), of the objects in pixels; COCO tells small from large objects by them.
        crowd: Shape (n,); a box around a crowd is neither trained on nor counted against a detector.
    """

    number: int
    path: Path
    height: int
    width: int
    boxes: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    areas: npt.NDArray[np.float32]
    crowd: npt.NDArray[np.bool_]


def load_scenes(card: DataCard, wanted: Collection[str], seed: int) -> dict[str, list[Scene]]:
    """Return the splits in `wanted`; files of splits that are not wanted are not read.

    Args:
        card: Describes the pictures; `load.files` names `train_annotations`, `train_images`, ...
        wanted: Some of `train`, `validation`, `test`.
        seed: Of the hold-outs where the data set has no split of its own.

    Raises:
        DataError: With what was found wrong.
    """
    official = _official(card)
    if "test" in wanted and "test" not in official and card.test_share == 0:
        raise splits.no_such_split(card, "test", {*official, "validation"})
    sources = {s: _source(card, s) for s in splits.SPLITS if s in official and s in {*wanted, "train"}}
    nothing = np.zeros(len(sources["train"]), dtype=np.int64)
    shared = splits.shared_out(card, nothing, official, seed)
    found = {split: _split(card, sources, shared, split) for split in wanted}
    if "train" in found:
        found["train"] = _labelled(card, found["train"])
    return found


def check_pictures(card: DataCard, scenes: Mapping[str, list[Scene]]) -> None:
    """Raise DataError where a picture is absent, unreadable or not of the size that its file states."""
    problems: list[Problem] = []
    for split, found in scenes.items():
        absent = [scene.path for scene in found if not scene.path.is_file()]
        if absent:
            got = f"{len(absent)} of {len(found)} absent, the first {shown(str(absent[0]))}"
            problems.append(Problem(split, "every picture must be there", got, "fetch them, or set `data.path`"))
        wrong = [text for scene in found[:_DECODED] if scene.path not in set(absent) and (text := _fault(scene))]
        if wrong:
            got = f"{'; '.join(wrong[:_LISTED])} ({len(wrong)} in all)"
            problems.append(Problem(split, "every picture must be readable", got, "fetch them again or remove them"))
    if problems:
        raise DataError(card.name, problems)


def _fault(scene: Scene) -> str:
    try:
        with Image.open(scene.path) as image:
            image.load()
            size = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{scene.path.name}: {shown(str(error))}"
    if size != (scene.width, scene.height):
        return f"{scene.path.name}: {size[0]}x{size[1]} pixels, {scene.width}x{scene.height} in the JSON"
    return ""


def _labelled(card: DataCard, scenes: list[Scene]) -> list[Scene]:
    found = [scene for scene in scenes if (~scene.crowd).any()]
    if not found:
        rule, got = "there must be boxes to train on", f"none in {len(scenes)} pictures"
        raise DataError(card.name, [Problem("train", rule, got, "check the annotations")])
    return found


def _split(
    card: DataCard, sources: Mapping[str, list[Scene]], shared: Mapping[str, splits.Rows], split: str
) -> list[Scene]:
    if split in shared:
        return [sources["train"][row] for row in shared[split]]
    if split not in sources:
        raise splits.no_such_split(card, split, {*shared, *sources})
    return sources[split]


def _official(card: DataCard) -> frozenset[str]:
    files = _loading(card).files
    names = {f"{split}_{part}" for split in splits.SPLITS for part in ("annotations", "images")}
    unknown = sorted(set(files) - names)
    if unknown or not {"train_annotations", "train_images"} <= set(files):
        rule = "must name `train_annotations` (a JSON file) and `train_images` (a folder), and may name other splits so"
        remedy = did_you_mean(unknown[0], names) if unknown else "add them"
        raise DataError(card.name, [Problem("load.files", rule, shown(unknown[0] if unknown else list(files)), remedy)])
    return frozenset(s for s in splits.SPLITS if {f"{s}_annotations", f"{s}_images"} <= set(files))


def _loading(card: DataCard) -> Loading:
    if card.load is None or card.load.format != "coco":
        got = shown(card.load.format if card.load else None)
        raise DataError(card.name, [Problem("load.format", "must be coco for pictures with boxes", got)])
    return card.load


def _source(card: DataCard, split: str) -> list[Scene]:
    load = _loading(card)
    key = f"{split}_annotations"
    path = fetch.find_files(card, only=frozenset({key}))[key]
    content = _json(card, path)
    folder = Path(load.path or "").expanduser() / load.files[f"{split}_images"]
    classes = _classes(card, content, f"{split}: categories")
    grouped: dict[int, list[Mapping[str, Any]]] = {}
    for annotation in content["annotations"]:
        grouped.setdefault(annotation.get("image_id"), []).append(annotation)
    counts: Counter[str] = Counter()
    try:
        scenes = [_scene(i, folder, grouped.pop(i["id"], []), classes, counts) for i in content["images"]]
    except (KeyError, TypeError, ValueError) as error:
        rule = "must hold pictures and annotations as COCO writes them"
        raise DataError(card.name, [Problem(str(path), rule, shown(repr(error)), "correct the file")]) from None
    if not scenes:
        raise DataError(card.name, [Problem(str(path), "must hold at least one picture", "none", "add pictures")])
    counts["stray"] += sum(map(len, grouped.values()))
    counts["unlabelled"] += sum(not (~scene.crowd).any() for scene in scenes) if split == "train" else 0
    for kind, count in counts.items():
        if count:
            _LOG.warning("%s: %s: %d %s", card.name, split, count, _NOTES[kind])
    return scenes


def _json(card: DataCard, path: Path) -> Any:
    rule = "must be a readable COCO instances JSON"
    try:
        content = json.loads(fetch.unpacked(path))
    except (OSError, ValueError) as error:
        raise DataError(card.name, [Problem(str(path), rule, shown(str(error)), "fetch it again")]) from None
    lists = [key for key in ("images", "annotations", "categories") if isinstance(content, dict) and key in content]
    if len(lists) < 3 or not all(isinstance(content[key], list) for key in lists):
        got = f"the keys {shown(sorted(content))}" if isinstance(content, dict) else type(content).__name__
        raise DataError(card.name, [Problem(str(path), f"{rule} with images, annotations and categories", got)])
    return content


def _classes(card: DataCard, content: Mapping[str, Any], field: str) -> dict[int, int]:
    """Return the class index of each category that annotations use."""
    names, used = card.label_space.names, {a.get("category_id") for a in content["annotations"]}
    given = {c.get("id"): str(c.get("name")) for c in content["categories"]}
    unknown = sorted((given.get(i, f"id {i}") for i in used if given.get(i) not in names), key=str)
    if unknown:
        rule = f"categories must be among the card's {len(names)} classes"
        got = f"{', '.join(map(shown, unknown[:_LISTED]))} ({len(unknown)} unknown)"
        remedy = did_you_mean(unknown[0], names) or "list it in `label_space.classes`"
        raise DataError(card.name, [Problem(field, rule, got, remedy)])
    return {i: names.index(given[i]) for i in used}


def _scene(
    image: Mapping[str, Any],
    folder: Path,
    annotations: list[Mapping[str, Any]],
    classes: Mapping[int, int],
    counts: Counter[str],
) -> Scene:
    height, width = int(image["height"]), int(image["width"])
    boxes: list[list[float]] = []
    kept: list[Mapping[str, Any]] = []
    for annotation in annotations:
        left, top, across, down = map(float, annotation["bbox"])
        clipped = [max(left, 0.0), max(top, 0.0), min(left + across, width), min(top + down, height)]
        # Half a pixel of rounding is not outside. NaN compares false and counts as empty.
        if not (clipped[2] > clipped[0] and clipped[3] > clipped[1]):
            counts["empty"] += 1
            continue
        counts["clipped"] += min(left, top) < -0.5 or left + across > width + 0.5 or top + down > height + 0.5
        boxes.append([clipped[0], clipped[1], clipped[2] - clipped[0], clipped[3] - clipped[1]])
        kept.append(annotation)
    found = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    return Scene(
        number=int(image["id"]),
        path=folder / str(image["file_name"]),
        height=height,
        width=width,
        boxes=found,
        labels=np.asarray([classes[a["category_id"]] for a in kept], dtype=np.int64),
        areas=np.asarray([a.get("area") or b[2] * b[3] for a, b in zip(kept, found, strict=True)], dtype=np.float32),
        crowd=np.asarray([bool(a.get("iscrowd", 0)) for a in kept], dtype=np.bool_),
    )
