"""How a network is trained where its configuration says nothing; known without torch, for those who only tell of it."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "momentum": 0.9,
    "schedule": "cosine",
    "warmup": 0.0,
    "batch_size": 64,
    "label_smoothing": 0.0,
}
"""Names that decide how a network is trained, with their defaults."""
