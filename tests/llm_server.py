"""`benchmarks.model_server` under the name by which tests import it, wherever pytest was started."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.model_server import *  # noqa: F403 - one name for one module
