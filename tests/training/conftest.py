"""Small data sets written to disk, and the folder of shared ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from automl_gpt_ray.cards import DataCard
from training.small import card_of

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of data sets beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("no folder `shared/data` beside the checkout")
    return SHARED


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    """A CSV of 240 rows: a number that tells the label, a colour, gaps, and noise."""
    rng = np.random.default_rng(0)
    lines = ["size,colour,noise,label"]
    for i in range(240):
        yes = rng.random() < 0.4
        size = "?" if i % 17 == 0 else f"{rng.normal(1.0 if yes else 0.0, 0.7):.3f}"
        colour = "" if i % 13 == 0 else rng.choice(["red", "green", "blue"])
        lines.append(f"{size},{colour},{rng.normal():.3f},{'yes' if yes else 'no'}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def table_card(table_file: Path) -> DataCard:
    return card_of(load={"format": "csv", "path": str(table_file)})
