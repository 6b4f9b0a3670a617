"""The networks that come with the package: which files, whether they are what they should be, and loading them.

`shipped/card.json` names the files with their SHA-256, and says what the networks are, what they were trained
on, what it cost and how good they are. Weights are safetensors in half precision; nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_gpt_ray.errors import DataError, Problem

if TYPE_CHECKING:
    from automl_gpt_ray.curves.learned.model import Network

SHIPPED = Path(__file__).parent / "shipped"
CARD = "card.json"
LARGEST = 10_000_000
"""Bytes that all networks take at most."""
REMEDY = "install the package again"


def unavailable(folder: Path = SHIPPED) -> str:
    """Return why the networks cannot be used here, in a few words; empty where they can."""
    for library in ("torch", "safetensors"):
        if importlib.util.find_spec(library) is None:
            return f"{library} is not installed (pip install 'automl-gpt-ray[learned]')"
    return "" if (folder / CARD).is_file() else "no weights are shipped"


def load(folder: Path = SHIPPED) -> list[Network]:
    """Return the networks of `folder`, ready to be asked.

    Raises:
        DataError: A file is missing, or is not what the card says.
    """
    card = _card(folder)
    return [_network(folder / str(entry["file"]), str(entry["sha256"]), entry["shape"]) for entry in card["networks"]]


def write(folder: Path, networks: Sequence[Network], card: dict[str, Any]) -> None:
    """Write networks in half precision, and their card with the hashes."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for i, network in enumerate(networks, 1):
        raw = save({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()})
        path = folder / f"network-{i}.safetensors"
        path.write_bytes(raw)
        digest = hashlib.sha256(raw).hexdigest()
        entries.append({"file": path.name, "sha256": digest, "shape": network.shape.to_dict()})
    (folder / CARD).write_text(json.dumps({"networks": entries, **card}, indent=1) + "\n", "utf-8")


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("curve network", [Problem(CARD, "must be readable JSON", str(error), REMEDY)]) from error
    if not isinstance(card, dict) or not isinstance(card.get("networks"), list) or not card["networks"]:
        raise DataError("curve network", [Problem(CARD, "must list `networks`", "", REMEDY)])
    return card


def _network(path: Path, sha256: str, shape: dict[str, int]) -> Network:
    from safetensors.torch import load as read

    from automl_gpt_ray.curves.learned.model import Network, Shape

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError("curve network", [Problem(path.name, "must be readable", str(error), REMEDY)]) from error
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        problem = Problem(path.name, "must have the SHA-256 of the card", found[:12] + "…", REMEDY)
        raise DataError("curve network", [problem])
    network = Network(Shape(**shape))
    network.load_state_dict({name: tensor.float() for name, tensor in read(raw).items()})
    return network.eval().requires_grad_(False)
