"""What is in the wheel, what a light import costs, and the jobs that come with the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from automl_gpt_ray import cli, shipped
from automl_gpt_ray.config import load_job
from automl_gpt_ray.errors import JobError

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "automl_gpt_ray"
HEAVY = (
    "ray",
    "torch",
    "transformers",
    "pandas",
    "pyarrow",
    "numpy",
    "scipy",
    "sklearn",
    "optuna",
    "openai",
)


def expected():
    """Every tracked file that the package reads as it runs, as it is called in the wheel."""
    listed = subprocess.run(["git", "ls-files", "automl_gpt_ray", "configs"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("the list of files comes from git, and this is no clone")
    files = listed.stdout.split()
    return {f if f.startswith("automl_gpt_ray/") else f"automl_gpt_ray/{f}" for f in files}


def built(target, folder):
    """What hatchling makes of this checkout."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed, so that nothing can be built without a network")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder], cwd=ROOT, check=True)
    (made,) = folder.iterdir()
    return made


def test_the_wheel_holds_templates_weights_and_configs(tmp_path):
    names = set(zipfile.ZipFile(built("wheel", tmp_path)).namelist())
    assert expected() <= names
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"automl_gpt_ray"}


def test_the_source_distribution_holds_what_the_wheel_is_made_of(tmp_path):
    with tarfile.open(built("sdist", tmp_path)) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    tracked = {file.removeprefix("automl_gpt_ray/") if "/configs/" in file else file for file in expected()}
    assert tracked | {"README.md", "LICENSE", "constraints.txt", "examples/without_ray.py"} <= names


def test_the_build_takes_the_configs_along():
    """The same without building: what is not Python lies in the package, or is named."""
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    taken = hatch["wheel"]["force-include"]
    assert hatch["wheel"]["packages"] == ["automl_gpt_ray"]
    assert "sdist" not in hatch  # everything that git tracks
    for source, place in taken.items():
        assert (ROOT / source).is_dir()
        assert Path(place) in {folder.relative_to(ROOT) for folder in shipped.FOLDERS if PACKAGE in folder.parents}


@pytest.mark.parametrize("arguments", [None, ["--help"], ["run", "--help"], ["--version"], ["demo", "--copy", "there"]])
def test_nothing_heavy_is_imported(arguments, tmp_path):
    program = "import automl_gpt_ray"
    if arguments:
        program = (
            f"from automl_gpt_ray import cli\nsys.argv = ['x', *{arguments!r}]\n"
            "try: cli.main()\nexcept SystemExit: pass"
        )
    code = f"import sys\n{program}\nprint(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    light = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert light.stderr == "[]\n"


def test_the_demos_are_jobs_that_load():
    for name in ("demo", "demo_table"):
        assert load_job(shipped.job(name)).job.trials == 12
    with pytest.raises(JobError, match="Did you mean `demo_table`"):
        shipped.job("demo_tables")


@pytest.mark.parametrize(("missing", "name"), [((), "demo"), (("torch",), "demo_table"), (("PIL",), "demo_table")])
def test_without_torch_the_demo_is_a_table_and_says_so(monkeypatch, missing, name):
    monkeypatch.setattr(shipped, "find_spec", lambda module: None if module in missing else object())
    chosen, told = shipped.demo()
    assert chosen == name
    assert ("pip install" in told) == bool(missing)


def test_shipped_jobs_can_be_copied_and_run_from_there(tmp_path):
    made = CliRunner().invoke(cli.app, ["demo", "--copy", str(tmp_path / "mine")])
    assert made.exit_code == 0
    assert {Path(line).name for line in made.output.split()} == {f.name for f in (ROOT / "configs").glob("*.yaml")}
    assert load_job(tmp_path / "mine" / "demo.yaml").data.name == "digits"
    with pytest.raises(JobError, match="must be a new folder"):
        shipped.copy(tmp_path / "mine")


def test_a_copy_that_fails_half_way_says_why(monkeypatch, tmp_path):
    def full(*args, **options):
        raise shutil.Error([(f"{n}.yaml", f"mine/{n}.yaml", "No space left on device") for n in range(40)])

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(JobError, match=r"that can be written \(No space left on device\)"):
        shipped.copy(tmp_path / "mine")
