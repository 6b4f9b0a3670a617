"""The shape of the package: which way imports point, who may use which library, and what is never used.

Read from the source with `ast`, so imports inside functions and for types only count like the others.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "automl_gpt_ray"
ROOT = Path(__file__).resolve().parents[1]

# Each layer may import from itself and from those before it. An entry is a module or a package with
# everything in it; the longest entry that fits a module decides. Entries need not exist yet.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__init__", "errors", "feedback", "limits", "lineage", "records"),
    (
        "budget",
        "events",
        "experience_options",
        "flusher",
        "insight",
        "intervals",
        "job_events",
        "llm_options",
        "metrics",
        "parameters",
        "recollection",
        "review",
        "scheduler_options",
        "shipped",
        "sparkline",
        "storage",
        "streams",
        "tracking_options",
        "yaml_file",
    ),
    ("space", "journal", "spending"),
    ("hints",),
    ("cards", "feedback_file"),
    ("brief", "staging", "worker_rules"),
    ("config",),
    ("assignment", "experience", "job_file", "prompts", "replies", "review_replies", "llm.client", "curves", "schema"),
    ("reference",),
    ("llm", "audit", "epochs", "open_calls", "book", "pareto", "outcome", "advisors.advisor", "advisors.classical"),
    ("advisors",),
    (
        "demand",
        "experience.gathering",
        "experience.keeping",
        "helm",
        "listening",
        "lanes",
        "planner",
        "promotion",
        "queue_rules",
        "reviewing",
        "reviews",
        "scorekeeper",
        "auditing",
        "steering",
        "steering_rule",
        "switching",
        "watch",
        "stock",
        "asktell",
        "opening",
        "outages",
        "plan",
        "prefetch",
        "remedy",
        "revision",
        "run_budget",
    ),
    ("live",),
    ("replay",),
    ("training", "ray_tune"),
    ("jobs", "report"),
    ("export", "trials_table"),
    (
        "adopt_command",
        "assignment_view",
        "experience_command",
        "feedback_command",
        "jobs.driver",
        "jobs_command",
        "limits_view",
        "live_panel",
        "live_view",
        "plan_command",
        "report_command",
        "result_commands",
        "tasks_command",
        "exit_codes",
        "terminal",
        "cli",
    ),
)
# Neither side of a pair knows the other, but for what the trial is told and the check before a run.
APART = (("training", "ray_tune"), ("ray_tune", "training"))
SEAMS = frozenset({"training.task", "training.data_check"})

# Library -> where it may be imported.
PLACES = {
    "ray": ("ray_tune", "training", "jobs", "live"),
    **dict.fromkeys(
        ("torch", "transformers", "xgboost", "sklearn"), ("training", "llm.transformers_client", "curves", "experience")
    ),
}
# Library -> how many files may import it.
FILES = {"openai": 1, "optuna": 1, "mlflow": 1, "wandb": 1}
HEAVY = ("ray", "torch", "transformers", "xgboost", "sklearn", "optuna", "openai")
UNSAFE_MODULES = frozenset({"pickle", "cloudpickle", "dill", "marshal", "shelve"})
UNSAFE_CALLS = frozenset(
    {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
)
HARMLESS = frozenset({"pickle.UnpicklingError"})  # an exception to catch; reads nothing
VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "base", "core", "misc"})
MAX_LINES = 300

Sources = dict[str, str]


def package_sources() -> Sources:
    """Module name within the package (`cards.hub`, `cards.__init__`) to source text."""
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    return {".".join(f.relative_to(ROOT / PACKAGE).with_suffix("").parts): f.read_text("utf-8") for f in files}


SOURCES = package_sources()


def imported(source: str) -> Iterator[str]:
    """Every dotted name that `source` imports; for `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(source: str, modules: Sources) -> set[str]:
    """The modules of the package that `source` imports, packages by their `__init__`."""
    found: set[str] = set()
    names = {n.removeprefix(PACKAGE).lstrip(".") for n in imported(source) if n.split(".")[0] == PACKAGE}
    for name in names:
        is_parent = any(other.startswith(f"{name}.") and other in modules for other in names)
        if name in modules:
            found.add(name)
        elif not is_parent and (f"{name}.__init__".lstrip(".") in modules):
            found.add(f"{name}.__init__".lstrip("."))
    return found


def layer(module: str) -> int | None:
    fits = [
        (len(entry), i)
        for i, entries in enumerate(LAYERS)
        for entry in entries
        if module == entry or module.startswith(f"{entry}.")
    ]
    return max(fits)[1] if fits else None


def top(module: str) -> str:
    return module.split(".")[0]


def upward(modules: Sources) -> list[str]:
    """Imports that point up, and modules that stand in no layer."""
    wrong = [f"{name}: in no layer" for name in modules if layer(name) is None]
    for name, source in modules.items():
        for other in sorted(within(source, modules)):
            mine, theirs = layer(name), layer(other)
            if mine is not None and theirs is not None and theirs > mine:
                wrong.append(f"{name} imports {other}")
            if (top(name), top(other)) in APART and other not in SEAMS:
                wrong.append(f"{name} imports {other}")
    return wrong


def cycle(modules: Sources) -> list[str]:
    try:
        TopologicalSorter({name: within(source, modules) - {name} for name, source in modules.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def users(library: str, modules: Sources) -> list[str]:
    return [name for name, source in modules.items() if library in {top(i) for i in imported(source)}]


def misplaced(modules: Sources) -> list[str]:
    return [
        f"{name} imports {library}"
        for library, places in PLACES.items()
        for name in users(library, modules)
        if not any(name == place or name.startswith(f"{place}.") for place in places)
    ]


def unsafe(modules: Sources) -> list[str]:
    wrong = []
    for name, source in modules.items():
        wrong += [f"{name} imports {i}" for i in imported(source) if i in UNSAFE_CALLS]
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                names = [f"{origin}{alias.name}" for alias in node.names]
                wrong += [f"{name} imports {n}" for n in names if top(n) in UNSAFE_MODULES and n not in HARMLESS]
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                shell = any(k.arg == "shell" and ast.unparse(k.value) != "False" for k in node.keywords)
                if called in UNSAFE_CALLS or shell or UNSAFE_MODULES & set(called.split(".")):
                    wrong.append(f"{name}: {called}")
    return wrong


def test_imports_point_one_way():
    assert upward(SOURCES) == []


def test_no_cycles():
    assert cycle(SOURCES) == []


def test_libraries_are_imported_where_they_belong():
    assert misplaced(SOURCES) == []


@pytest.mark.parametrize(("library", "most"), FILES.items())
def test_a_library_has_one_file(library, most):
    assert len(users(library, SOURCES)) <= most, users(library, SOURCES)


def test_the_language_model_has_a_file():
    assert users("openai", SOURCES) == ["llm.openai_client"]


def test_names_say_something():
    assert [n for n in SOURCES if VAGUE_NAMES & set(n.split("."))] == []


def test_files_are_short():
    assert {n: lines for n, s in SOURCES.items() if (lines := len(s.splitlines())) > MAX_LINES} == {}


def test_nothing_runs_text_as_code():
    assert unsafe(SOURCES) == []


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.cards", f"{PACKAGE}.space"])
def test_importing_is_light(module):
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_cards_do_not_wait_for_pyarrow():
    code = f"import sys, {PACKAGE}.cards; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        ({"errors": f"from {PACKAGE}.space import X", "space": ""}, ["errors imports space"]),
        ({"errors": f"def f():\n    import {PACKAGE}.space", "space": ""}, ["errors imports space"]),
        (
            {"llm.client": f"from {PACKAGE} import advisors", "advisors.__init__": ""},
            ["llm.client imports advisors.__init__"],
        ),
        ({"training.a": f"from {PACKAGE}.ray_tune import b", "ray_tune.b": ""}, ["training.a imports ray_tune.b"]),
        ({"ray_tune.b": f"from {PACKAGE}.training.a import x", "training.a": ""}, ["ray_tune.b imports training.a"]),
        ({"ray_tune.b": f"from {PACKAGE}.training.task import x", "training.task": ""}, []),
        ({"novel": ""}, ["novel: in no layer"]),
        ({"space": f"from {PACKAGE}.errors import X", "errors": ""}, []),
    ],
)
def test_the_check_of_layers_can_fail(modules, found):
    assert upward(modules) == found


def test_the_check_of_cycles_can_fail():
    modules = {
        "cards.a": f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {PACKAGE}.cards.b import X",
        "cards.b": f"from {PACKAGE}.cards import a",
    }
    assert set(cycle(modules)) == {"cards.a", "cards.b"}


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import pickle",
        "import os.path, pickle as p",
        "from pickle import UnpicklingError, loads",
        "from os import system",
        "import os\nos.system('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import ray\nray.cloudpickle.loads(b'')",
        "def f():\n    from cloudpickle import loads",
    ],
)
def test_the_check_of_unsafe_code_can_fail(source):
    assert unsafe({"x": source}) != []
    assert unsafe({"x": "from pickle import UnpicklingError"}) == []
    assert unsafe({"x": "model.eval()\nimport subprocess\nsubprocess.run(['ls'], shell=False)"}) == []


def test_the_check_of_places_can_fail():
    assert misplaced({"advisors.x": "def f():\n    from torch import nn"}) == ["advisors.x imports torch"]
    assert misplaced({"training.x": "import torch.nn"}) == []
