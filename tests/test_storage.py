"""Places by path and URI, the mirror of a run, and data staged once a node."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pyarrow import fs

from automl_gpt_ray import staging
from automl_gpt_ray.cards import parse_data_card
from automl_gpt_ray.config import DataOptions, Job, read_job
from automl_gpt_ray.errors import DataError, JobError
from automl_gpt_ray.ray_tune import run_place
from automl_gpt_ray.ray_tune.mirror import Mirror
from automl_gpt_ray.ray_tune.run import new_place
from automl_gpt_ray.ray_tune.run_place import brought, place_for, place_of
from automl_gpt_ray.staging import staged_card
from automl_gpt_ray.storage import Place, joined

CARD = {
    "name": "leaves",
    "task": "classification",
    "input_type": "tabular",
    "label_space": {"column": "species", "classes": ["oak", "elm"]},
    "metric": "accuracy",
}


@pytest.fixture(params=["path", "file://", "bucket"])
def place(request, tmp_path):
    """A place by its path, by a URI, and in a file system without a disk."""
    if request.param == "bucket":
        return Place("mock://runs/a", fs._MockFileSystem(), "runs/a")
    return Place.at(f"{'file://' if request.param == 'file://' else ''}{tmp_path}/runs/a")


def test_a_place_holds_what_it_is_given(place, tmp_path):
    assert not place.exists()
    assert list(place.list()) == []
    assert place.read("x") is None
    place.write("x", b"1")
    place.write("x", b"22")
    (tmp_path / "here" / "deep").mkdir(parents=True)
    (tmp_path / "here" / "deep" / "y").write_bytes(b"3")
    (place / "ray").send(tmp_path / "here")
    assert place.read("x") == b"22"
    assert sorted(info.base_name for info in place.list()) == ["ray", "x"]
    place.fetch(tmp_path / "back")
    assert (tmp_path / "back" / "x").read_bytes() == b"22"
    assert (tmp_path / "back" / "ray" / "deep" / "y").read_bytes() == b"3"


def test_names_keep_their_query():
    assert joined("s3://bucket/runs/?region=eu", "a") == "s3://bucket/runs/a?region=eu"
    assert joined("/runs/", "a") == "/runs/a"
    with pytest.raises(JobError, match="must be a folder or a URI"):
        Place.at("s3://")


def test_a_path_is_one_folder_and_a_uri_has_its_own_here(tmp_path):
    here = place_for(str(tmp_path), "a")
    assert (here.mirrored, here.folder, here.storage.path) == (False, tmp_path / "a", str(tmp_path / "a"))
    there = place_for(f"file://{tmp_path}", "a")
    assert there.mirrored
    assert there.folder != tmp_path / "a"
    assert there == place_of(f"file://{tmp_path}/a")
    assert there.folder != place_of(f"file://{tmp_path}/b/a").folder
    assert there.named(f"{tmp_path}/a/ray/t/checkpoint_000001") == f"file://{tmp_path}/a/ray/t/checkpoint_000001"


def test_the_mirror_copies_what_changes(tmp_path):
    folder, storage, told = tmp_path / "run", Place.at(f"file://{tmp_path}/kept"), []
    folder.mkdir()
    (folder / "job.json").write_text("{}")
    (folder / "journal.jsonl.lock").write_text("")
    mirror = Mirror(folder, storage, told.append)
    assert (mirror.copy(), mirror.copy()) == (1, 0)
    (folder / "journal.jsonl").write_text("line")
    assert mirror.copy() == 1
    assert sorted(info.base_name for info in storage.list()) == ["job.json", "journal.jsonl"]


def test_storage_that_is_away_is_said_once_and_caught_up_with(tmp_path):
    folder, told = tmp_path / "run", []
    folder.mkdir()
    (folder / "job.json").write_text("{}")
    (tmp_path / "kept").write_text("a file where the folder should be")
    mirror = Mirror(folder, Place.at(f"file://{tmp_path}/kept"), told.append)
    assert (mirror.copy(), mirror.copy()) == (0, 0)
    assert [line.startswith("WARNING: the storage") for line in told] == [True]
    (tmp_path / "kept").unlink()
    assert mirror.copy() == 1
    assert "can be written again" in told[-1]


def test_a_run_is_brought_from_its_storage_unless_it_is_newer_here(tmp_path, monkeypatch):
    monkeypatch.setattr(run_place.tempfile, "gettempdir", lambda: str(tmp_path / "scratch"))
    place = place_of(f"file://{tmp_path}/kept")
    place.storage.write("journal.jsonl", b"one\ntwo\n")
    place.storage.write("job.json", b"{}")
    assert brought(place.storage.name) == place.folder
    assert (place.folder / "job.json").read_text() == "{}"
    assert (place.folder / "journal.jsonl").read_bytes() == b"one\ntwo\n"
    (place.folder / "journal.jsonl").write_bytes(b"one\ntwo\nthree\n")
    brought(place.storage.name)
    assert (place.folder / "journal.jsonl").read_bytes() == b"one\ntwo\nthree\n"
    # The copy that Ray keeps with its snapshot may be ahead of the mirror's.
    place.ray.write("searcher-journal.json", b"one\ntwo\nthree\nfour\n")
    brought(place.storage.name)
    assert (place.folder / "journal.jsonl").read_bytes().endswith(b"four\n")


def card_at(path):
    return parse_data_card({**CARD, "load": {"format": "csv", "path": path}})


def test_data_is_copied_once_for_all_trials_of_a_node(tmp_path, monkeypatch):
    monkeypatch.setenv(staging.VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1")
    copies, fetch = [], Place.fetch
    monkeypatch.setattr(Place, "fetch", lambda place, folder: (copies.append(folder), fetch(place, folder)))
    found = []
    uri = f"file://{tmp_path}/data"
    trials = [threading.Thread(target=lambda: found.append(staged_card(card_at(uri)).load.path)) for _ in range(8)]
    for trial in trials:
        trial.start()
    for trial in trials:
        trial.join()
    assert len(copies) == 1
    assert len(set(found)) == 1
    assert (Path(found[0]) / "a.csv").read_text() == "1"
    (tmp_path / "data" / "a.csv").write_text("2 and more")  # what changes there gets a folder of its own
    assert (Path(staged_card(card_at(uri)).load.path) / "a.csv").read_text() == "2 and more"
    one = Path(staged_card(card_at(f"{uri}/a.csv")).load.path)
    assert (one.name, one.read_text()) == ("a.csv", "2 and more")
    assert staged_card(card_at(str(tmp_path))).load.path == str(tmp_path)


def test_data_that_cannot_be_reached_is_one_error(tmp_path):
    with pytest.raises(DataError, match="must be data that this machine can reach"):
        staged_card(card_at(f"file://{tmp_path}/nothing"))


def test_data_of_no_known_file_system_says_which_are():
    with pytest.raises(DataError, match=r"must be a folder or a URI that `pyarrow\.fs` knows"):
        staged_card(card_at("nofs://bucket/x"))


def test_a_run_folder_that_cannot_be_made_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    job = Job(data_card="x", model_card="y", storage_path=str(tmp_path / "file" / "runs"))
    with pytest.raises(JobError, match="`storage_path`: must be storage that can be read and written"):
        new_place(job, "job.yaml")


def test_a_uri_stays_one_in_a_job(tmp_path):
    assert DataOptions(path="s3://bucket/x").path == "s3://bucket/x"
    card = {**CARD, "load": {"format": "csv"}}
    job = {"data_card": card, "data": {"path": "s3://bucket/x"}, "storage_path": "s3://bucket/runs"}
    model = {"name": "m", "structure": "none", "tasks": ["classification"], "input_types": ["tabular"]}
    model |= {"hyperparameters": {"a": {"type": "constant", "value": 1}}, "trainable": "x:y", "max_steps": 1}
    assert read_job({**job, "model_card": model}).data.load.path == "s3://bucket/x"
    assert card_at("s3://bucket/y").resolved(tmp_path).load.path == "s3://bucket/y"
