"""Networks for images: built from a configuration with fresh weights, never downloaded.

Knows shapes and hyperparameters; nothing of data or training.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from automl_gpt_ray.errors import Problem, SpaceError, did_you_mean, shown
from automl_gpt_ray.records import Config

ARCHITECTURE: dict[str, Any] = {
    "architecture": "small_cnn",
    "depth": 2,
    "width": 16,
    "batch_norm": True,
    "patch_size": 2,
    "layers": 4,
    "heads": 4,
    "head_size": 16,
}
"""Names that decide the shape of the weights, with their defaults; a checkpoint is bound to them."""

_GROWTH_LIMIT = 8  # widths double with depth up to this multiple of the first


class SmallCNN(nn.Module):
    """Blocks of two 3x3 convolutions and a 2x2 pooling, then the mean over the image and a linear layer.

    Args:
        channels: Of the images.
        classes: Outputs.
        depth: Blocks.
        width: Channels of the first block; each further block has twice as many, up to 8 times.
        dropout: Before the linear layer.
        batch_norm: After every convolution.
    """

    def __init__(self, channels: int, classes: int, depth: int, width: int, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        widths = [width * min(2**block, _GROWTH_LIMIT) for block in range(depth)]
        inputs = [channels, *widths]
        self.blocks = nn.Sequential(*(_block(inputs[i], widths[i], batch_norm) for i in range(depth)))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of shape (n, classes) for images of shape (n, channels, height, width)."""
        features = self.blocks(images).mean(dim=(2, 3))
        return cast("Tensor", self.head(self.dropout(features)))


class VisionTransformer(nn.Module):
    """The Vision Transformer of `transformers`, from a configuration (arXiv 2010.11929).

    Args:
        shape: Height, width and channels of the images.
        classes: Outputs.
        config: May hold `patch_size`, `layers`, `heads`, `head_size` and `dropout`.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, config: Config) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification  # slow to import, and only needed here

        height, width, channels = shape
        hidden = _whole(config, "heads") * _whole(config, "head_size")
        dropout = dropout_of(config)
        settings = ViTConfig(
            image_size=(height, width),
            patch_size=min(_whole(config, "patch_size"), height, width),
            num_channels=channels,
            hidden_size=hidden,
            intermediate_size=4 * hidden,
            num_hidden_layers=_whole(config, "layers"),
            num_attention_heads=_whole(config, "heads"),
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=0.0,
            id2label={k: str(k) for k in range(classes)},
        )
        self.model = ViTForImageClassification(settings)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of shape (n, classes) for images of shape (n, channels, height, width)."""
        return cast("Tensor", self.model(pixel_values=images).logits)


def build(config: Config, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Return the network that `config` describes, with random weights from the global generator.

    Args:
        config: May hold the names of `ARCHITECTURE` and `dropout`.
        shape: Height, width and channels of the images.
        classes: Number of classes.

    Raises:
        SpaceError: The architecture is not known, or too deep for the images.
    """
    name = config.get("architecture", ARCHITECTURE["architecture"])
    if name == "vit":
        return VisionTransformer(shape, classes, config)
    if name != "small_cnn":
        remedy = did_you_mean(str(name), ("small_cnn", "vit"))
        raise SpaceError("configuration", [Problem("architecture", "must be a known one", shown(name), remedy)])
    batch_norm = bool(config.get("batch_norm", ARCHITECTURE["batch_norm"]))
    return SmallCNN(shape[2], classes, _depth(config, shape), _whole(config, "width"), dropout_of(config), batch_norm)


def dropout_of(config: Config) -> float:
    """Return the dropout of `config`; 0 where it has none."""
    return float(cast("float", config.get("dropout", 0.0)))


def set_dropout(model: nn.Module, config: Config) -> None:
    """Give every dropout layer that is in use the dropout of `config`."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout_of(config)


def _block(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, kernel_size=3, padding=1, bias=not batch_norm))
        layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
        layers.append(nn.ReLU())
    # ceil_mode: an image of one pixel stays one, so that no depth is too deep for a small image.
    return nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True))


def _depth(config: Config, shape: tuple[int, int, int]) -> int:
    depth = _whole(config, "depth")
    if 2 ** (depth - 1) > max(shape[:2]):
        rule = f"must leave a pixel of images of {shape[0]} by {shape[1]}"
        raise SpaceError("configuration", [Problem("depth", rule, shown(depth), "lower it")])
    return depth


def _whole(config: Config, name: str) -> int:
    value = config.get(name, ARCHITECTURE[name])
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        rule = "must be a whole number of at least 1"
        raise SpaceError("configuration", [Problem(name, rule, shown(value))])
    return value
