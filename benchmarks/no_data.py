"""A Data Card for trainables that need no data: what benchmarks and tests give to something that is to be killed."""

from __future__ import annotations

from typing import Any

NO_DATA: dict[str, Any] = {
    "name": "nothing",
    "task": "classification",
    "input_type": "tabular",
    "metric": "accuracy",
    "label_space": {"column": "y", "classes": ["a", "b"]},
    "description": "No data at all.",
}
