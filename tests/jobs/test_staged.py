"""`submit --stage-data`: the data goes before the job, once, and the job names where it lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automl_gpt_ray.config import load_job, read_job
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.jobs.submitting import submit
from automl_gpt_ray.staging import VARIABLE, staged_card

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ROWS = "length,width,species\n" + "".join(f"{n % 7},{n % 5},{'oak' if n % 7 > 3 else 'elm'}\n" for n in range(60))


class Server:
    """A job server that keeps what was submitted."""

    def __init__(self):
        self.jobs = []

    def submit(self, entrypoint, folder, name, metadata):
        self.jobs.append(json.loads((Path(folder) / "job.json").read_text("utf-8")))
        return name


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def job(tmp_path):
    """Writes a job on a table that only this machine has; returns it and the table."""
    data = tmp_path / "mine" / "leaves.csv"
    data.parent.mkdir()
    data.write_text(ROWS)
    card = {
        "name": "leaves",
        "task": "classification",
        "input_type": "tabular",
        "label_space": {"column": "species", "classes": ["elm", "oak"]},
        "metric": "accuracy",
        "load": {"format": "csv", "path": str(data)},
    }
    path = tmp_path / "job.json"

    def load(storage):
        values = {"data_card": card, "model_card": str(CONFIGS / "cards" / "models" / "xgboost.yaml"), "trials": 1}
        path.write_text(json.dumps({**values, "storage_path": storage}))
        return load_job(path)

    return load, data


def named(job):
    return job["data_card"]["load"]["path"]


def test_a_node_reads_what_was_on_the_clients_machine(job, server, tmp_path, monkeypatch):
    load, data = job
    made = submit(load(f"file://{tmp_path}/bucket"), server, stage_data=True)
    place = named(server.jobs[0])
    assert place.startswith(f"file://{tmp_path}/bucket/data/")
    assert f"data: each node fetches {place} once" in made.notes
    assert str(data.parent) not in json.dumps(server.jobs[0])
    data.unlink()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "node"))
    card = staged_card(read_job(server.jobs[0]).data)
    assert Path(card.load.path).read_text() == ROWS
    assert Path(card.load.path).is_relative_to(tmp_path / "node")


def test_below_a_shared_folder_it_is_read_where_it_lies(job, server, tmp_path):
    load, _ = job
    submit(load(str(tmp_path / "shared")), server, stage_data=True)
    place = Path(named(server.jobs[0]))
    assert place.is_relative_to(tmp_path / "shared" / "data")
    assert place.read_text() == ROWS


def test_the_same_data_is_copied_once_and_other_data_beside_it(job, server, tmp_path):
    load, data = job
    for _ in range(2):
        submit(load(str(tmp_path / "shared")), server, stage_data=True)
    first, second = map(named, server.jobs)
    assert first == second
    Path(first).write_text("what lies there is left alone")
    submit(load(str(tmp_path / "shared")), server, stage_data=True)
    assert Path(first).read_text() == "what lies there is left alone"
    data.write_text(ROWS + "9,9,oak\n")
    submit(load(str(tmp_path / "shared")), server, stage_data=True)
    assert named(server.jobs[-1]) != first
    assert Path(named(server.jobs[-1])).read_text().endswith("9,9,oak\n")


def test_a_copy_that_was_cut_short_is_made_again(job, server, tmp_path):
    load, _ = job
    submit(load(str(tmp_path / "shared")), server, stage_data=True)
    place = Path(named(server.jobs[0]))
    place.write_text("half of")
    (place.parent / ".whole").unlink()
    submit(load(str(tmp_path / "shared")), server, stage_data=True)
    assert place.read_text() == ROWS


def test_data_that_is_not_here_is_not_staged(job, server, tmp_path):
    load, data = job
    data.unlink()
    with pytest.raises(JobError, match="must be a file or folder on this machine to be copied"):
        submit(load(str(tmp_path / "shared")), server, stage_data=True)
    assert server.jobs == []
