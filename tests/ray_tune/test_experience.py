"""Experience on a real local Ray: one run leaves it behind, the next begins with it and can be replayed."""

from __future__ import annotations

import json

import pytest
from llm_server import LLMServer
from tuning_answer import TuningAnswer
from typer.testing import CliRunner

from automl_gpt_ray.cli import app
from automl_gpt_ray.config import read_job
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import PromptSent
from automl_gpt_ray.experience.store import ExperienceStore
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.ray_tune.run import resume, run
from automl_gpt_ray.replay import replay

pytestmark = pytest.mark.ray


def test_what_one_run_learned_the_next_begins_with(local_ray, iris_job, tmp_path):
    store, lines = str(tmp_path / "store"), []
    job = {**iris_job, "trials": 6, "max_steps": 2, "experience": {"path": store, "seeds": 1}}
    first = run(read_job(job), None, tmp_path / "first")
    (name,) = ExperienceStore(store).ids()
    kept = ExperienceStore(store).read(name)
    assert kept.best[0][0] == first.validation["accuracy"]
    assert len(kept.trials) == 6
    assert kept.outcome["best_trial"] == first.best_trial

    wine = {**job, "name": "wine", "data_card": iris_job["data_card"].replace("iris", "wine")}
    with LLMServer(TuningAnswer()) as server:
        outcome = run(read_job(wine), OpenAIClient("m", server.url), tmp_path / "second", lines.append)
    assert any(line.startswith("recalled from 1 earlier runs: iris") for line in lines)
    beaten = first.validation["accuracy"] > next(
        t.value(kept.brief.objective) for t in kept.trials if t.proposal.source == "default"
    )
    assert outcome.sources.get("recalled", 0) == int(beaten)
    prompts = [e.event for e in read_journal(outcome.journal) if isinstance(e.event, PromptSent)]
    assert all("<experience>" in p.messages[1].content for p in prompts)
    report = replay(tmp_path / "second")
    assert report.different == 0, report.differences

    # What it was told at its start stays what it is told, though the store holds its own run by now.
    more = resume(read_job({**wine, "trials": 8}), tmp_path / "second")
    assert more.trials["total"] == 8
    assert replay(tmp_path / "second").different == 0
    assert len(ExperienceStore(store).ids()) == 2
    assert len(ExperienceStore(store).read(next(i for i in ExperienceStore(store).ids() if "wine" in i)).trials) == 8


def test_a_store_that_cannot_be_written_costs_no_run(local_ray, iris_job, tmp_path):
    (tmp_path / "file").write_text("")
    lines = []
    job = {**iris_job, "trials": 2, "experience": str(tmp_path / "file" / "store")}
    outcome = run(read_job(job), None, tmp_path / "run", lines.append)
    assert outcome.trials["completed"] == 2
    assert any("this run is not remembered" in line for line in lines)


def test_a_place_that_cannot_be_one_is_said_before_anything_runs(iris_job, tmp_path):
    with pytest.raises(JobError, match="must be a folder or a URI"):
        run(read_job({**iris_job, "experience": "nosuch://x"}), None, tmp_path / "run")


def test_the_commands(local_ray, iris_job, tmp_path):
    store = str(tmp_path / "store")
    run(read_job({**iris_job, "trials": 2}), None, tmp_path / "run")
    call = CliRunner().invoke
    assert "1 runs taken" in call(app, ["experience", "import", str(tmp_path / "run"), "--store", store]).stdout
    (line,) = json.loads(call(app, ["experience", "list", "--json", "--store", store]).stdout)
    assert (line["data"], line["model"], line["trials"]) == ("iris", "xgboost", 2)
    assert line["run"] in call(app, ["experience", "list", "--store", store], env={"COLUMNS": "200"}).stdout
    shown = call(app, ["experience", "show", "iris", "--store", store]).stdout
    assert "best settings:" in shown
    file, other = str(tmp_path / "all.parquet"), str(tmp_path / "other")
    assert call(app, ["experience", "export", file, "--store", store]).exit_code == 0
    assert call(app, ["experience", "import", file, "--store", other]).exit_code == 0
    assert ExperienceStore(other).read(line["run"]) == ExperienceStore(store).read(line["run"])
    for wrong in (["show", "nothing", "--store", store], ["import", str(tmp_path / "nowhere"), "--store", other]):
        assert isinstance(call(app, ["experience", *wrong]).exception, JobError)
