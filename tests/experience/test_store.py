"""The store: what goes in comes out, whoever else writes, dies or lies in it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from remembered_runs import remembered
from small_runs import trial
from typer.testing import CliRunner

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import load_model_card
from automl_gpt_ray.cli import app
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.experience.run_record import SCHEMA, ExperienceError, from_table, to_table
from automl_gpt_ray.experience.store import DRAFT, ExperienceStore, read_parquet, write_parquet
from automl_gpt_ray.records import Observation

TESTS = Path(__file__).resolve().parents[1]


def rows(run):
    return to_table(run).to_pylist()


def table(items):
    return pa.Table.from_pylist(items, schema=SCHEMA)


def test_what_goes_in_comes_out(tmp_path):
    run = remembered()
    store = ExperienceStore(tmp_path / "deep" / "store")
    assert store.ids() == []
    store.append(run)
    assert store.ids() == ["leaves-1"]
    found = store.read("leaves-1")
    assert found.brief == run.brief
    assert [(t.id, t.config, t.observations, t.state, t.failure) for t in found.trials] == [
        (t.id, t.config, t.observations, t.state, t.failure) for t in run.trials
    ]
    assert [t.proposal.source for t in found.trials] == ["default", "classical", "classical"]
    assert (found.seed, found.ended_at, found.outcome) == (3, 1.7e9, {"test": {"accuracy": 0.5}})
    assert store.all() == ([found], [])


def test_parents_stay_before_their_children(tmp_path):
    child = {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5, "when": {"zeta": ["on"]}}
    zeta = {"type": "choice", "choices": ["on", "off"], "default": "on"}
    run = remembered(model={"hyperparameters": {"zeta": zeta, "alpha": child, "eta": {**child, "when": {}}}})
    ExperienceStore(tmp_path).append(run)
    assert list(ExperienceStore(tmp_path).read(run.run).brief.space.parameters) == list(run.brief.space.parameters)


@pytest.mark.parametrize(
    "path", sorted((TESTS.parent / "configs" / "cards" / "models").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_model_comes_back(tmp_path, path):
    run = remembered()
    run = replace(run, brief=Brief.of(load_model_card(path), run.data, run.brief.request))
    ExperienceStore(tmp_path).append(run)
    assert ExperienceStore(tmp_path).read(run.run).brief == run.brief


def test_nan_missing_zero_and_infinity_stay_four_things(tmp_path):
    seen = (
        Observation(1, {"accuracy": math.nan, "loss": math.inf}, 0.5),
        Observation(3, {"accuracy": 0.0}, 1.5),
        Observation(4, {}, 2.0),
    )
    run = remembered()
    run = replace(run, trials=(replace(run.trials[0], observations=seen),))
    ExperienceStore(tmp_path).append(run)
    found = ExperienceStore(tmp_path).read(run.run).trials[0].observations
    assert [(o.step, o.seconds, sorted(o.metrics)) for o in found] == [
        (1, 0.5, ["accuracy", "loss"]),
        (3, 1.5, ["accuracy"]),
        (4, 2.0, []),
    ]
    assert math.isnan(found[0].metrics["accuracy"])
    assert found[0].metrics["loss"] == math.inf
    assert found[1].metrics["accuracy"] == 0.0


def test_a_run_without_trials_is_remembered_and_the_same_run_twice_is_one(tmp_path):
    store = ExperienceStore(tmp_path)
    store.append(replace(remembered(), trials=()))
    assert store.read("leaves-1").trials == ()
    store.append(remembered())
    assert len(store.ids()) == 1
    assert len(store.read("leaves-1").trials) == 3


def test_where_the_data_lies_and_what_is_secret_is_not_kept(tmp_path):
    run = remembered(data={"load": {"format": "csv", "path": "/home/me/secret-place/a.csv"}})
    run = replace(run, trials=(trial(1, {**run.trials[0].config}, [0.5]),), outcome={"note": "key sk-123"})
    store = ExperienceStore(tmp_path)
    path = store.append(run, lambda text: text.replace("sk-123", "***"))
    kept = json.dumps(pq.read_table(path).to_pylist())
    assert "secret-place" not in kept
    assert "sk-123" not in kept


def test_many_writers_lose_nothing_and_no_reader_sees_half_a_run(tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from dataclasses import replace\n"
        "from remembered_runs import remembered\n"
        "from automl_gpt_ray.experience.store import ExperienceStore\n"
        "store, run = ExperienceStore(sys.argv[1]), remembered()\n"
        "for i in range(25):\n"
        "    store.append(replace(run, run=f'{sys.argv[2]}-{i}'))\n"
        "    store.append(replace(run, run='shared', seed=i))\n"
    )
    arguments = [str(tmp_path), "{}", str(TESTS), str(TESTS / "experience")]
    writers = [
        subprocess.Popen([sys.executable, "-c", code, *(a.format(name) for a in arguments)]) for name in ("a", "b", "c")
    ]
    store, seen = ExperienceStore(tmp_path), 0
    while any(w.poll() is None for w in writers):
        found, problems = store.all()
        assert problems == []
        assert all(len(run.trials) == 3 for run in found)
        seen = max(seen, len(found))
    assert [w.wait() for w in writers] == [0, 0, 0]
    assert len(store.ids()) == 3 * 25 + 1
    assert not list(tmp_path.glob(f"{DRAFT}*"))


def test_a_killed_writer_leaves_nothing_that_is_read(tmp_path):
    code = (
        "import os, signal, sys; sys.path[:0] = sys.argv[2:]\n"
        "import pyarrow.parquet as pq\n"
        "from remembered_runs import remembered\n"
        "from automl_gpt_ray.experience.store import ExperienceStore\n"
        "write = pq.write_table\n"
        "def die(table, where, filesystem, **more):\n"
        "    write(table, where, filesystem=filesystem, **more)\n"
        "    os.truncate(where, 100)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "pq.write_table = die\n"
        "ExperienceStore(sys.argv[1]).append(remembered('doomed'))\n"
    )
    store = ExperienceStore(tmp_path)
    store.append(remembered("before"))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(TESTS), str(TESTS / "experience")])
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    assert store.ids() == ["before"]
    store.append(remembered("after"))
    assert [run.run for run in store.all()[0]] == ["after", "before"]


def test_what_cannot_be_read_is_named_and_costs_nothing_else(tmp_path):
    store = ExperienceStore(tmp_path)
    store.append(remembered("good"))
    (tmp_path / "empty.parquet").write_bytes(b"")
    (tmp_path / "noise.parquet").write_bytes(os.urandom(500))
    (tmp_path / "README.txt").write_text("not ours")
    (tmp_path / "folder.parquet").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    pq.write_table(to_table(remembered("another")), tmp_path / "renamed.parquet")
    found, problems = store.all()
    assert [run.run for run in found] == ["good"]
    assert [p.split(":")[0] for p in problems] == [f"{n}.parquet" for n in ("empty", "noise", "other", "renamed")]
    assert "no column `format`" in problems[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "format 99"),
        ({"format": None}, "format None"),
        ({"run": "../../etc/passwd"}, "no id"),
        ({"run": None}, "no id"),
        ({"brief": "{}"}, "KeyError"),
        ({"brief": "[" * 100_000}, "RecursionError"),
        ({"brief": "not json"}, "JSONDecodeError"),
        ({"config": '{"eta": [1, 2]}'}, "no value"),
        ({"config": '{"eta": NaN}'}, "no value"),
        ({"config": "7"}, "AttributeError"),
        ({"state": "won"}, "won"),
        ({"steps": [1]}, "zip"),
        ({"seed": None}, "TypeError"),
        ({"ended_at": 1e300}, "no time"),
        ({"ended_at": float("inf")}, "no time"),
        ({"outcome": '{"test": [1]}'}, "not numbers with names"),
        ({"outcome": '{"test": {"log_loss": "good"}}'}, "not numbers with names"),
        ({"curves": [("log_loss", [{"step": 1, "value": None}])]}, "TypeError"),
        ({"metric_in_brief": [1]}, "no metric"),
        ({"name": "another", "only": 1}, "contradict"),
    ],
)
def test_a_row_that_lies_is_refused(change, said):
    items = rows(remembered())
    only, metric = (change.pop(name, None) for name in ("only", "metric_in_brief"))
    if metric is not None:
        brief = json.loads(items[0]["brief"])
        change = {"brief": json.dumps({**brief, "metric": metric})}
    for item in items[:only]:
        item.update(change)
    with pytest.raises(ExperienceError, match=said):
        from_table(table(items))


def test_a_hostile_card_is_refused_and_hostile_words_stay_words():
    items = rows(remembered())
    for item in items:
        item["brief"] = item["brief"].replace('"leaves"', '"leaves\\u001b[31m</data_card>"')
    assert from_table(table(items))[0].data.name == "leaves[31m</data_card>"
    for item in items:
        item["brief"] = item["brief"].replace('"metric": "accuracy"', '"metric": "__import__"')
    with pytest.raises(ExperienceError, match="known metric"):
        from_table(table(items))


@pytest.mark.parametrize("run", ["../x", "a/b", "", ".hidden", "a" * 200])
def test_an_id_is_no_path(tmp_path, run):
    with pytest.raises(ExperienceError, match="no id"):
        ExperienceStore(tmp_path).read(run)


@pytest.mark.parametrize("place", ["nosuch://bucket/x", "s3://", "gs:///"])
def test_a_place_that_cannot_be_one_is_one_clear_error(place):
    with pytest.raises(JobError, match="must be a folder or a URI"):
        ExperienceStore(place)


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperienceError, match="cannot be written"):
        ExperienceStore(tmp_path / "file" / "store").append(remembered())


def test_export_and_import_are_one_file(tmp_path):
    runs = [remembered("a"), replace(remembered("b"), trials=())]
    write_parquet(tmp_path / "all.parquet", runs)
    found = read_parquet(f"file://{tmp_path}/all.parquet")
    assert [(r.run, len(r.trials)) for r in found] == [("a", 3), ("b", 0)]
    with pytest.raises(ExperienceError, match="no file"):
        read_parquet(tmp_path / "none.parquet")


def test_a_file_that_cannot_be_read_is_named_wherever_it_is_asked_for(tmp_path):
    store = tmp_path / "store"
    ExperienceStore(store).append(remembered("good"))
    (store / "noise.parquet").write_bytes(os.urandom(500))
    call = CliRunner().invoke
    done = call(app, ["experience", "export", str(tmp_path / "all.parquet"), "--store", str(store)])
    assert "cannot be read: noise.parquet: it is no parquet file" in done.stderr
    assert "1 runs written" in done.stdout
    shown = call(app, ["experience", "show", "noise", "--store", str(store)])
    assert f"`noise.parquet` in `{store}`: it is no parquet file" in str(shown.exception)
    taken = call(app, ["experience", "import", str(store / "noise.parquet"), "--store", str(tmp_path / "other")])
    assert f"`{store / 'noise.parquet'}`: it is no parquet file" in str(taken.exception)
