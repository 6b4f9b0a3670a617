"""COCO's average precision of detections, by pycocotools.

Knows scenes and boxes; no model.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_gpt_ray.training.scenes import Scene

METRICS = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large", "recall_100")
"""Reported names: mean over IoU .50:.95, at .50, at .75, by size of the object, and recall at 100 detections."""

_PLACES = (0, 1, 2, 3, 4, 5, 8)  # of `METRICS` in COCOeval.stats


_SIZES = {"map_small": (0.0, 32.0**2), "map_medium": (32.0**2, 96.0**2), "map_large": (96.0**2, float("inf"))}
"""Areas of the objects that a metric is about, in pixels; the others are about objects of all sizes."""


@dataclass(frozen=True)
class Detections:
    """What a model found in one scene.

    Attributes:
        boxes: Shape (n, 4): left, top, width, height in pixels.
        labels: Shape (n,), class indices.
        scores: Shape (n,).
    """

    boxes: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.floating[Any]]


def average_precision(scenes: Sequence[Scene], found: Sequence[Detections]) -> dict[str, float]:
    """Return the metrics in `METRICS`; NaN where no object is of a size, or a detection is not finite.

    Args:
        scenes: With the true boxes.
        found: For each scene.
    """
    if not all(np.isfinite(d.boxes).all() and np.isfinite(d.scores).all() for d in found):
        return dict.fromkeys(METRICS, float("nan"))
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = [entry for scene, one in zip(scenes, found, strict=True) for entry in _results(scene, one)]
    with contextlib.redirect_stdout(io.StringIO()):  # it tells its progress
        truth = COCO()
        truth.dataset = _dataset(scenes)
        truth.createIndex()
        if not results:
            return dict.fromkeys(METRICS, 0.0)
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # -1 says that there is no such object.
    values = [float(evaluation.stats[place]) for place in _PLACES]
    return {name: value if value >= 0 else float("nan") for name, value in zip(METRICS, values, strict=True)}


def is_defined(metric: str, scenes: Sequence[Scene]) -> bool:
    """Return whether scenes hold an object that a metric in `METRICS` is about; without one it is NaN for anybody."""
    low, high = _SIZES.get(metric, (0.0, float("inf")))
    return any(bool(((s.areas >= low) & (s.areas <= high) & ~s.crowd).any()) for s in scenes)


def _results(scene: Scene, found: Detections) -> list[dict[str, Any]]:
    return [
        {"image_id": scene.number, "category_id": int(label) + 1, "bbox": box, "score": float(score)}
        for box, label, score in zip(found.boxes.tolist(), found.labels, found.scores, strict=True)
    ]


def _dataset(scenes: Sequence[Scene]) -> dict[str, Any]:
    boxes = [(scene, i) for scene in scenes for i in range(len(scene.boxes))]
    return {
        "info": {},
        "images": [{"id": s.number, "height": s.height, "width": s.width} for s in scenes],
        "categories": [{"id": int(k) + 1} for k in sorted({int(label) for s in scenes for label in s.labels})],
        "annotations": [
            {
                "id": n + 1,
                "image_id": scene.number,
                "category_id": int(scene.labels[i]) + 1,
                "bbox": scene.boxes[i].tolist(),
                "area": float(scene.areas[i]),
                "iscrowd": int(scene.crowd[i]),
            }
            for n, (scene, i) in enumerate(boxes)
        ],
    }
