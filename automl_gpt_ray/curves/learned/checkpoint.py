"""The state of a training, in one file: written whole or not at all, read without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def write(path: Path, parts: Mapping[str, Mapping[str, Tensor]], told: Mapping[str, Any]) -> None:
    """Write tensors by part and name, and what JSON can hold."""
    tensors = {
        f"{part}/{name}": t.detach().contiguous().clone() for part, ts in parts.items() for name, t in ts.items()
    }
    fresh = path.with_name(path.name + ".new")
    save_file(tensors, fresh, {"told": json.dumps(told)})
    fresh.replace(path)


def read(path: Path, device: torch.device | str = "cpu") -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Read what `write` wrote."""
    parts: dict[str, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt", device=str(device)) as file:
        for key in file.keys():  # noqa: SIM118 - no mapping
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = file.get_tensor(key)
        told = json.loads(file.metadata()["told"])
    return parts, told
