"""Pictures of scenes as batches of tensors: resized, augmented, normalised and padded, boxes with them.

Knows scenes and the choices of a configuration; no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from automl_gpt_ray.errors import DataError, Problem, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training.augmentation import Normalisation, choice
from automl_gpt_ray.training.image_files import in_mode
from automl_gpt_ray.training.optimisation import bounded
from automl_gpt_ray.training.scenes import Scene

CHOICES = frozenset({"resize", "keep_aspect", "normalisation", "augmentation"})
"""Names in a configuration that decide what is done to pictures.

`resize` is the side of the square they become, or their shorter side where `keep_aspect` is true.
"""

NORMALISATIONS = ("imagenet", "half", "unit")
AUGMENTATIONS = ("none", "flip", "crop", "crop_flip")
"""`flip`: left to right, by half; `crop`: a random part of at least 60 % of each side, by half."""

DEFAULT_SIDE = 512
_LONGEST = 1333 / 800  # DETR's: the longer side is at most this many times the shorter one wanted
_CACHED_BYTES = 1 << 30


@dataclass
class Pictures:
    """Scenes' pictures as a trial's configuration wants them; decoded ones are kept up to 1 GiB.

    Attributes:
        config: Of the trial.
        masked: Whether the model is told which pixels are padding.
    """

    config: Config
    masked: bool
    _kept: dict[Path, Tensor] = field(default_factory=dict)
    _bytes: int = 0

    def batch(self, scenes: Sequence[Scene], training: bool) -> dict[str, Any]:
        """Return `pixel_values` (n, 3, height, width), `pixel_mask` where masked, and `labels`.

        A label holds `class_labels` (m,) and `boxes` (m, 4): centre, width and height as shares of the
        picture, or of the padded batch where the model cannot tell padding. Crowds are left out.
        """
        made = [self._example(scene, training) for scene in scenes]
        height, width = (max(pixels.shape[axis] for pixels, _, _ in made) for axis in (1, 2))
        values = torch.zeros(len(made), 3, height, width)
        mask = torch.zeros(len(made), height, width, dtype=torch.long)
        labels = []
        for i, (pixels, boxes, classes) in enumerate(made):
            down, across = pixels.shape[1:]
            values[i, :, :down, :across] = self._normalisation.apply(pixels[None])[0]
            mask[i, :down, :across] = 1
            frame = (down, across) if self.masked else (height, width)
            labels.append({"class_labels": classes, "boxes": _shares(boxes, *frame)})
        found: dict[str, Any] = {"pixel_values": values, "labels": labels}
        return {**found, "pixel_mask": mask} if self.masked else found

    def frame(self, scene: Scene, batch: dict[str, Any]) -> tuple[float, float]:
        """Return what share 1 of a predicted box is in pixels of the scene: across and down."""
        if self.masked:
            return float(scene.width), float(scene.height)
        down, across = self._size(scene)
        height, width = batch["pixel_values"].shape[2:]
        return scene.width * width / across, scene.height * height / down

    @property
    def _normalisation(self) -> Normalisation:
        return Normalisation.fit(np.zeros((0, 0, 0, 3), np.uint8), choice(self.config, "normalisation", NORMALISATIONS))

    def _size(self, scene: Scene) -> tuple[int, int]:
        side = int(bounded(self.config, "resize", DEFAULT_SIDE, 8))
        if not self.config.get("keep_aspect", False):
            return side, side
        short, long = sorted((scene.height, scene.width))
        scale = min(side / short, side * _LONGEST / long)
        return max(8, round(scene.height * scale)), max(8, round(scene.width * scale))

    def _example(self, scene: Scene, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return bytes (3, height, width), boxes in its pixels (left, top, right, bottom), and classes."""
        pixels = self._decoded(scene)
        down, across = pixels.shape[1:]
        boxes = torch.from_numpy(scene.boxes[~scene.crowd])
        boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)
        boxes = boxes * torch.tensor([across / scene.width, down / scene.height] * 2)
        classes = torch.from_numpy(scene.labels[~scene.crowd])
        kind = choice(self.config, "augmentation", AUGMENTATIONS) if training else "none"
        if "crop" in kind and torch.rand(()) < 0.5:
            pixels, boxes, classes = _cropped(pixels, boxes, classes)
        if "flip" in kind and torch.rand(()) < 0.5:
            pixels = pixels.flip(2)
            boxes = torch.stack([across - boxes[:, 2], boxes[:, 1], across - boxes[:, 0], boxes[:, 3]], dim=1)
        return pixels, boxes, classes

    def _decoded(self, scene: Scene) -> Tensor:
        if scene.path in self._kept:
            return self._kept[scene.path]
        down, across = self._size(scene)
        try:
            with Image.open(scene.path) as image:
                resized = in_mode(image, "RGB").resize((across, down), Image.Resampling.BILINEAR)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(
                "data", [Problem(str(scene.path), "must be a readable picture", shown(str(error)))]
            ) from None
        pixels = torch.from_numpy(np.asarray(resized).transpose(2, 0, 1).copy())
        if self._bytes + pixels.numel() <= _CACHED_BYTES:
            self._kept[scene.path] = pixels
            self._bytes += pixels.numel()
        return pixels


def _shares(boxes: Tensor, height: int, width: int) -> Tensor:
    size = torch.tensor([width, height])
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2 / size, (boxes[:, 2:] - boxes[:, :2]) / size], dim=1)


def _cropped(pixels: Tensor, boxes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a random part enlarged to the whole, with the boxes whose centre lies in it."""
    down, across = pixels.shape[1:]
    share = 0.6 + 0.4 * torch.rand(2)
    height, width = max(1, int(share[0] * down)), max(1, int(share[1] * across))
    top, left = int(torch.randint(0, down - height + 1, ())), int(torch.randint(0, across - width + 1, ()))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 - torch.tensor([left, top])
    inside = ((centres > 0) & (centres < torch.tensor([width, height]))).all(dim=1)
    if not inside.any():
        return pixels, boxes, classes
    part = pixels[None, :, top : top + height, left : left + width].float()
    enlarged = nn.functional.interpolate(part, (down, across), mode="bilinear")[0].round().to(torch.uint8)
    moved = (boxes[inside] - torch.tensor([left, top] * 2)) * torch.tensor([across / width, down / height] * 2)
    limits = torch.tensor([across, down] * 2)
    return enlarged, torch.minimum(moved.clamp(min=0), limits), classes[inside]
