"""What a report is made of: the anytime curve, thinned curves, calibration, importance, the job to run again."""

from __future__ import annotations

import math

import pytest
from typer.testing import CliRunner

from automl_gpt_ray import cli
from automl_gpt_ray.config import load_job
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import (
    Decision,
    ResultReported,
    RunResumed,
    RunStarted,
    TrialEnded,
    TrialResumed,
    TrialStarted,
)
from automl_gpt_ray.journal import FILE_NAME, Journal
from automl_gpt_ray.lineage import Origin
from automl_gpt_ray.records import Observation, Proposal, TrialState
from automl_gpt_ray.report import index
from automl_gpt_ray.report.anytime import anytime
from automl_gpt_ray.report.importance import importances, parallel
from automl_gpt_ray.report.index import write_reports
from automl_gpt_ray.report.reproduce import job_text
from automl_gpt_ray.report.story import read_story
from automl_gpt_ray.report.thinning import evenly, most_points, thinned
from automl_gpt_ray.report.trials import call_of
from automl_gpt_ray.report.verdict import calibration, decided, ledger_of


def test_the_folder_of_a_job_of_one_task_stands_for_its_run(made, tmp_path):
    run = made(trials=3)
    job = tmp_path / "job"
    job.mkdir()
    Journal(job / FILE_NAME).close()
    (job / "tasks.json").write_text("{}")
    run.rename(job / "iris")
    assert read_story(job).folder == job / "iris"
    made(trials=3).rename(job / "wine")
    with pytest.raises(JobError, match="give one of iris, wine"):
        read_story(job)


def test_thinning_keeps_ends_and_extremes():
    points = [(i, math.sin(i / 7)) for i in range(1000)]
    points[500] = (500, 9.0)
    points[700] = (700, math.nan)
    found = thinned(points, 100)
    assert len(found) <= 101
    assert {points[0], points[500], points[-1]} <= set(found)
    assert min(p[1] for p in found) == min(p[1] for p in points if p[1] == p[1])
    assert found == sorted(found)
    assert thinned(points[:100], 100) == points[:100]
    assert evenly(range(10), 4) == [0, 3, 6, 9]
    assert most_points(1) == 200
    assert most_points(2000) * 2000 <= 120_000


def test_steps_and_seconds_of_the_anytime_curve(tmp_path):
    now = [100.0]
    journal = Journal(tmp_path / FILE_NAME, clock=lambda: now[0])
    journal.append(RunStarted("accuracy", "max", 4, 0, {}))
    for name, parent in (("a", None), ("b", Origin("a", 2))):
        journal.append(TrialStarted(name, Proposal(f"default-{name}", {}, "why", "default"), parent=parent))
    for second, trial, step, value in ((1, "a", 1, 0.2), (2, "a", 2, 0.5), (4, "b", 3, 0.4), (5, "b", 4, 0.6)):
        now[0] = 100.0 + second
        journal.append(ResultReported(trial, Observation(step, {"accuracy": value}, 1.0)))
    now[0] = 1000.0
    journal.append(RunResumed())
    journal.close()
    found = anytime(read_story(tmp_path))
    assert found["best"] == [(1, 1.0, 0.2, 1), (2, 2.0, 0.5, 1), (4, 5.0, 0.6, 2), (4, 5.0, 0.6, 2)]
    assert found["trials"] == [(2, 2.0, 0.5, 1), (4, 5.0, 0.6, 2)]
    assert found["default"] == 0.5


def test_calibration_counts_what_lay_below(made):
    folder = made(20, forecast_every=10)
    found = {c["source"]: c for c in calibration(ledger_of(read_story(folder)))}
    points = found["network"]["points"]
    assert [p["nominal"] for p in points] == [0.1, 0.5, 0.9]
    assert all(p["low"] <= p["real"] <= p["high"] for p in points)
    assert [p["real"] for p in points] == sorted(p["real"] for p in points)


def test_decisions_are_judged_by_what_came_later(tmp_path):
    journal = Journal(tmp_path / FILE_NAME)
    journal.append(RunStarted("accuracy", "max", 2, 0, {}))

    def begin(name, source):
        journal.append(TrialStarted(name, Proposal(f"{source}-{name}", {}, "why", source)))

    def report(name, step, value):
        journal.append(ResultReported(name, Observation(step, {"accuracy": value}, 1.0)))

    begin("a", "default")
    begin("b", "classical")
    for name, value in (("a", 0.4), ("b", 0.3)):
        report(name, 1, value)
        journal.append(Decision(name, "pause", "promises little", "gp", 1, 0.5))
        journal.append(TrialEnded(name, TrialState.PAUSED))
    journal.append(TrialResumed("a", "promises most"))
    report("a", 2, 0.7)
    journal.append(TrialEnded("a", TrialState.COMPLETED))
    journal.close()
    found = decided(read_story(tmp_path))
    (count,) = found["counts"]
    assert (count["who"], count["what"], count["times"], count["known"]) == ("gp", "paused", 2, 1)
    assert count["off"] == pytest.approx(0.2)
    assert (found["paused"], found["resumed"], found["best_paused"], found["total"]) == (2, 1, 1, 2)
    assert [row["later"] for row in found["rows"]] == ["trained to its end, best of the run", "never trained on"]


def test_importance_and_axes(made):
    story = read_story(made(40))
    weights = importances(story)
    assert sum(w for _, w in weights) == pytest.approx(1)
    drawn = parallel(story, weights)
    assert drawn["axes"][-1]["name"] == weights[0][0]
    assert all(0 <= place <= 1 for _, _, places in drawn["lines"] for place in places)
    booster = next(i for i, axis in enumerate(drawn["axes"]) if axis["name"] == "booster")
    first = next(places for n, _, places in drawn["lines"] if n == 1)
    assert first[booster] == 0.25  # gbtree, the first of two
    assert importances(read_story(made(3))) == []


def test_which_call_a_proposal_came_from():
    assert call_of("language-ab12-0") == "ab12"
    assert call_of("language-ab12-repair-3") == "ab12"
    assert call_of("classical-3-1") is None


def test_the_job_of_a_report_is_a_job(made, tmp_path):
    story = read_story(made(3))
    again = tmp_path / "job.yaml"
    again.write_text(job_text(story), encoding="utf-8")
    loaded = load_job(again)
    assert loaded.data == story.brief.data
    assert loaded.model == story.brief.model
    assert loaded.job.trials == 3


def test_a_job_of_several_tasks_gets_a_page_that_leads_to_each(made, tmp_path):
    folder = tmp_path / "several"
    made(2).rename(tmp_path / "one")
    folder.mkdir()
    (tmp_path / "one").rename(folder / "one")
    (folder / "tasks.json").write_text('{"one": {}, "two & <b>": {}, "../one": {}}', encoding="utf-8")
    written = write_reports(folder)
    assert written == [folder / "report.html", folder / "one" / "report.html"]
    page = written[0].read_text(encoding="utf-8")
    assert 'href="one/report.html"' in page
    assert "two &amp; &lt;b&gt;" in page
    assert "not begun" in page
    assert "../one" not in page


@pytest.mark.parametrize("at", ["{}", "file://{}"])
def test_the_pages_of_several_tasks_lie_beside_one_that_is_elsewhere(made, tmp_path, monkeypatch, at):
    folder, elsewhere = tmp_path / "several", tmp_path / "elsewhere"
    run = made(2)
    folder.mkdir()
    elsewhere.mkdir()
    run.rename(folder / "a task")
    (folder / "tasks.json").write_text('{"a task": {}}', encoding="utf-8")
    monkeypatch.chdir(elsewhere)
    done = CliRunner().invoke(cli.app, ["report", at.format(folder), "--out", "r.html"])
    assert done.exit_code == 0, done.output
    written = ["r.html", "r-a task.html"]
    told = [line.rpartition(" (")[0] for line in done.output.splitlines()]
    assert told == [str(elsewhere / name) for name in written]
    assert sorted(path.name for path in elsewhere.iterdir()) == sorted(written)
    assert 'href="r-a%20task.html"' in (elsewhere / "r.html").read_text(encoding="utf-8")
    assert not (folder / "report.html").exists()


def test_the_command(made, tmp_path):
    folder = made(2)
    done = CliRunner().invoke(cli.app, ["report", str(folder), "--out", str(tmp_path / "r.html")])
    assert done.exit_code == 0
    assert done.output.startswith(str(tmp_path / "r.html"))
    failed = CliRunner().invoke(cli.app, ["report", str(folder), "--out", str(tmp_path / "no" / "r.html")])
    assert "`--out`: must be a file that can be written" in str(failed.exception)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("No space left on device")])
def test_a_full_disk_is_told_with_the_file_it_has_no_room_for(made, tmp_path, monkeypatch, error):
    def full(*args):
        raise error

    monkeypatch.setattr(index, "write_reports", full)
    failed = CliRunner().invoke(cli.app, ["report", str(made(2)), "--out", str(tmp_path / "r.html")])
    assert f"(No space left on device), got {tmp_path / 'r.html'}" in str(failed.exception)
