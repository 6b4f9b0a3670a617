"""Normalisation and augmentation of images, in PyTorch alone.

Knows pixels and random numbers; no model and no files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automl_gpt_ray.errors import Problem, SpaceError, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training.image_files import Pixels

NORMALISATIONS = ("standardise", "unit", "none", "half", "imagenet")
"""`standardise`: mean 0 and deviation 1 per channel over the training images; `unit`: 0..1; `none`: 0..255;
`half`: -1..1; `imagenet`: the means and deviations of ImageNet's channels, as most pretrained models want them."""

AUGMENTATIONS = ("none", "shift", "flip", "shift_flip")
"""`shift`: up to an eighth of the size in each direction, zeros (black) coming in; `flip`: left to right, by half."""

_SHIFT_SHARE = 8
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Normalisation:
    """Subtracts `mean` and divides by `deviation`, one value a channel, on the scale 0..255."""

    mean: list[float]
    deviation: list[float]

    @classmethod
    def fit(cls, pixels: Pixels, kind: str) -> Normalisation:
        """Learn from training images of shape (n, height, width, channels)."""
        channels = pixels.shape[-1]
        if kind == "none":
            return cls([0.0] * channels, [1.0] * channels)
        if kind == "unit":
            return cls([0.0] * channels, [255.0] * channels)
        if kind == "half":
            return cls([127.5] * channels, [127.5] * channels)
        if kind == "imagenet":
            return cls(_of_channels(_IMAGENET_MEAN, channels), _of_channels(_IMAGENET_DEVIATION, channels))
        values = pixels.reshape(-1, channels)
        # A channel of one value throughout has no deviation; any positive one will do.
        deviation = np.maximum(values.std(axis=0, dtype=np.float64), 1.0)
        return cls(values.mean(axis=0, dtype=np.float64).tolist(), deviation.tolist())

    def apply(self, pixels: Tensor) -> Tensor:
        """Return float32 images of the same shape, (n, channels, height, width)."""
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=pixels.device).view(shape)
        deviation = torch.tensor(self.deviation, device=pixels.device).view(shape)
        return (pixels.float() - mean) / deviation


def _of_channels(values: tuple[float, ...], channels: int) -> list[float]:
    """Return one value a channel: the given ones for colour, else their mean."""
    return list(values) if channels == len(values) else [sum(values) / len(values)] * channels


def choice(config: Config, name: str, known: tuple[str, ...]) -> str:
    """Return the choice `name` of `config`, the first of `known` where it has none.

    Raises:
        SpaceError: The choice is not known.
    """
    value = config.get(name, known[0])
    if value not in known:
        raise SpaceError("configuration", [Problem(name, f"must be one of {', '.join(known)}", shown(value))])
    return str(value)


def augment(pixels: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Return augmented copies of images of shape (n, channels, height, width), each drawn anew.

    Args:
        pixels: Images before normalisation, so that 0 is black.
        kind: One of `AUGMENTATIONS`.
        generator: Of random numbers, on the CPU.
    """
    if kind in ("shift", "shift_flip"):
        pixels = _shifted(pixels, generator)
    if kind in ("flip", "shift_flip"):
        mirrored = torch.rand(len(pixels), generator=generator) < 0.5
        pixels = torch.where(mirrored.to(pixels.device).view(-1, 1, 1, 1), pixels.flip(3), pixels)
    return pixels


def _shifted(pixels: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = pixels.shape
    reach = max(1, min(height, width) // _SHIFT_SHARE)
    padded = torch.nn.functional.pad(pixels, (reach, reach, reach, reach))
    down, right = (torch.randint(0, 2 * reach + 1, (count, 1), generator=generator) for _ in range(2))
    rows = (down + torch.arange(height)).to(pixels.device)
    columns = (right + torch.arange(width)).to(pixels.device)
    every: Any = torch.arange(count, device=pixels.device)[:, None, None]
    # Indices around a slice put the channels last; they are moved back.
    return padded[every, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
