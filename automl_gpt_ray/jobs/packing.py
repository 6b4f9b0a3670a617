"""Packing: a folder that holds everything a driver on the cluster needs but libraries and data.

    job.json                 the job, its cards inside
    automl_gpt_ray/          this package, so that the cluster runs the version that checked the job
    my_trainer.py            modules of one's own that the Model Card names, or that were asked for

What is installed here (in `site-packages`) is expected there too, in the image or the environment of the cluster.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import automl_gpt_ray
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.job_file import FILE_NAME
from automl_gpt_ray.llm.redaction import redact, secrets_in

_SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_CARDS = Path(automl_gpt_ray.__file__).parent.parent / "configs" / "cards"
MAX_BYTES = 200 * 1024**2
"""Larger packages are refused: the head keeps them in memory."""


def pack(values: Mapping[str, Any], modules: Iterable[str], folder: Path) -> Path:
    """Write job and code into an empty `folder` and return it.

    Args:
        values: The job, as `job_values` returns it.
        modules: Top-level names of modules and packages of one's own.
        folder: Empty; becomes the package.

    Raises:
        JobError: A module is not there, the package is too large, or it would carry a key.
    """
    (folder / FILE_NAME).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _copy(Path(automl_gpt_ray.__file__).parent, folder / "automl_gpt_ray")
    for name in dict.fromkeys(modules):
        source = source_of(name)
        if source is not None:
            _copy(source, folder / source.name)
    _check(folder)
    return folder


def own_modules(trainables: Iterable[str | None], named: Iterable[str] = ()) -> list[str]:
    """Return the top-level names of the modules that hold `trainables` (`module:function`), and those `named`."""
    found = [name.partition(":")[0].partition(".")[0] for name in trainables if name]
    return [name for name in dict.fromkeys((*found, *named)) if name != "automl_gpt_ray"]


def source_of(name: str) -> Path | None:
    """Return the file or folder of a module of one's own; None where it is installed or Python's own.

    Raises:
        JobError: There is no such module here.
    """
    if name in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = places[0] if places else (spec.origin if spec else None)
    if found is None:
        remedy = "submit from the folder it lies in, or install it here and on the cluster"
        raise JobError("submit", [Problem("--module", f"`{name}` must be importable here", name, remedy)])
    path = Path(found).resolve()
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    return None if any(path.is_relative_to(place) for place in installed) else path


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_SKIPPED)
    else:
        shutil.copyfile(source, target)


def _check(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > MAX_BYTES:
        rule, got = f"must be at most {MAX_BYTES // 1024**2} MiB with the modules it takes along", f"{size // 1024**2}"
        remedy = "keep data out of the package of your trainable"
        raise JobError("submit", [Problem("the package", rule, f"{got} MiB", remedy)])
    secrets = [secret.encode() for secret in secrets_in()]
    for path in files:
        content = path.read_bytes()
        if any(secret in content for secret in secrets) or _looks_like_key(path, folder, content):
            rule = "must hold no key: anyone who may look at the job may read it"
            remedy = "put it into a file or variable on the cluster, named by `llm.api_key_file` or `llm.api_key_env`"
            raise JobError("submit", [Problem(str(path.relative_to(folder)), rule, "one that is", remedy)])


def _looks_like_key(path: Path, folder: Path, content: bytes) -> bool:
    # In the job only: code may hold patterns of keys, as this package's does.
    text = content.decode("utf-8", "replace")
    return path == folder / FILE_NAME and redact(text) != text
