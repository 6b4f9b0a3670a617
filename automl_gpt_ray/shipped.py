"""The jobs and cards that come with this package: inside it where it was installed, beside it in a checkout."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from automl_gpt_ray.errors import JobError, Problem, did_you_mean, reason_of

_PACKAGE = Path(__file__).resolve().parent
FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def configs() -> Path:
    """Return the folder of the job files; cards lie in `cards/data` and `cards/models` below it."""
    return next((folder for folder in FOLDERS if (folder / "cards" / "models").is_dir()), FOLDERS[0])


def demo() -> tuple[str, str]:
    """Return the name of the job to show, and what to say about the choice; without torch it is a table's."""
    missing = [name for name, module in (("torch", "torch"), ("pillow", "PIL")) if find_spec(module) is None]
    if not missing:
        return "demo", ""
    told = f"{' and '.join(missing)} not installed (pip install 'automl-gpt-ray[vision]' brings it): "
    return "demo_table", told + "boosted trees on a table instead of a network on digits\n"


def job(name: str) -> Path:
    """Return the file of the job called `name`, with or without `.yaml`.

    Raises:
        JobError: No such job comes with this package.
    """
    jobs = {file.stem: file for file in configs().glob("*.yaml")}
    found = jobs.get(name.removesuffix(".yaml"))
    if found is None:
        remedy = did_you_mean(name, jobs) or "install the package again"
        raise JobError("demo", [Problem("NAME", "must be a job that comes with this package", name, remedy)])
    return found


def copy(folder: Path) -> list[Path]:
    """Copy all jobs and cards into `folder`, which must be new, and return the job files there.

    Raises:
        JobError: The folder exists already, or cannot be written.
    """
    try:
        shutil.copytree(configs(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        rule = f"must be a new folder that can be written ({_why(error)})"
        raise JobError("demo", [Problem("--copy", rule, str(folder), "name another")]) from None
    return sorted(folder.glob("*.yaml"))


def _why(error: OSError) -> str:
    # `copytree` gathers the troubles of all files: (from, to, text) of each. One disk has one trouble.
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        return str(error.args[0][0][-1])
    return reason_of(error)
