"""The page of a report: what it says of any run, and that nobody's text becomes part of it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import FeedbackGiven, ResultReported, TrialStarted
from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.journal import FILE_NAME, Journal
from automl_gpt_ray.records import Observation
from automl_gpt_ray.report.page import render, write_report
from automl_gpt_ray.report.story import read_story
from benchmarks.made_run import make_run

HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(2)">"'><!--<script>]]>{{ 7*7 }}"""


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes, and the text of its scripts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data
        else:
            self.text.append(data)


def page_of(folder):
    return Tags(render(read_story(folder)))


def data_of(folder):
    return json.loads(page_of(folder).scripts[0])


def test_one_file_that_needs_no_network(made):
    tags = page_of(made()).tags
    assert not [t for t in tags if t[0] in ("link", "iframe", "object", "img", "base")]
    assert not [a for _, a in tags if {"src", "srcset", "action", "onclick", "onerror"} & set(a)]
    assert all(a["href"].startswith("#") for _, a in tags if "href" in a)
    policy = next(a["content"] for t, a in tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "url(" not in render(read_story(made())).lower()


@pytest.mark.parametrize(("metric", "mode"), [("accuracy", "max"), ("log_loss", "min")])
def test_best_is_the_best_in_either_direction(made, metric, mode):
    data = data_of(made(metric=metric, mode=mode))
    values = {t["n"]: t["value"] for t in data["trials"] if t["value"] is not None}
    choose = max if mode == "max" else min
    assert data["best"] == choose(values, key=values.get)
    course = [value for _, _, value, _ in data["anytime"]["best"]]
    assert course == sorted(course, reverse=mode == "min")
    assert course[-1] == choose(values.values())


def test_what_was_made_is_what_is_shown(made):
    folder = made(21, steps=20, forecast_every=5)
    data = data_of(folder)
    trials = data["trials"]
    assert [t["n"] for t in trials] == list(range(1, 22))
    assert {t["state"] for t in trials} == {"completed", "stopped", "failed"}
    assert all(t["message"].startswith("CUDA out of memory") for t in trials if t["state"] == "failed")
    assert len(trials[0]["curve"]) == 20
    assert trials[3]["log"]["points"][0][0] == 5
    assert [f["at"] for f in trials[0]["forecasts"]] == [5, 10, 15]
    stopped = trials[1]["marks"]
    assert [(m["what"], m["step"], m["by"]) for m in stopped] == [("stop", 10, "network")]
    call = next(c for c in data["calls"] if c["trials"])
    assert data["texts"][call["reply"]] == '{"reason": ""}'
    assert trials[call["trials"][0] - 1]["call"] == call["id"]
    text = " ".join(page_of(folder).text)
    assert "oom" in text
    assert "held-out" in text


def test_nan_breaks_a_curve_and_nothing_else(made):
    data = data_of(made(12))
    diverged = [t for t in data["trials"] if t["diverged"]]
    assert diverged
    assert any(value == "NaN" for t in diverged for _, value in t["curve"])
    assert all(isinstance(t["value"], float) for t in diverged)


def test_hostile_text_stays_text(made):
    folder = made(12, text=HOSTILE)
    with_feedback = Journal(folder / FILE_NAME)
    with_feedback.append(FeedbackGiven(Feedback("f1", HOSTILE, {"eta": HOSTILE}), (HOSTILE,)))
    with_feedback.close()
    page = render(read_story(folder))
    tags = Tags(page)
    assert [a for t, a in tags.tags if t == "script"] == [{"type": "application/json", "id": "data"}, {}]
    assert not [t for t, _ in tags.tags if t == "img"]
    assert "alert(1)" not in tags.scripts[1]
    assert page.count("</script>") == 2
    assert "49" not in [text.strip() for text in tags.text]
    data = json.loads(tags.scripts[0])
    assert HOSTILE in data["trials"][0]["reason"]


def test_a_hostile_metric_name_stays_text(tmp_path):
    folder = make_run(tmp_path / "run", 3)
    path = folder / FILE_NAME
    story = read_story(folder)
    journal = Journal(tmp_path / "hostile" / FILE_NAME)
    for moment in story.moments:
        event = moment.event
        if isinstance(event, ResultReported):
            seen = {**event.observation.metrics, HOSTILE: 1.0}
            event = ResultReported(event.trial, Observation(event.observation.step, seen, event.observation.seconds))
        journal.append(event)
    journal.close()
    assert path.exists()
    tags = page_of(tmp_path / "hostile")
    assert len(tags.scripts) == 2
    assert HOSTILE in tags.text


def test_keys_do_not_reach_the_page(made, monkeypatch):
    folder = made(6, text=" hunter2-hunter2-hunter2 ")
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2-hunter2-hunter2")
    page = render(read_story(folder))
    assert "hunter2" not in page
    assert "[redacted]" in page


def test_a_run_that_goes_on_can_be_reported(made):
    folder = made(5, ended=False)
    with (folder / FILE_NAME).open("ab") as file:
        file.write(b'{"crc":"00')  # what a killed driver leaves behind
    text = " ".join(page_of(folder).text)
    assert "has not ended" in text
    assert "not measured" in text


def test_one_trial_and_none(made, tmp_path):
    assert data_of(made(1))["best"] == 1
    story = read_story(made(1))
    journal = Journal(tmp_path / "none" / FILE_NAME)
    journal.append(story.started)
    journal.append(next(m.event for m in story.moments if isinstance(m.event, TrialStarted)))
    journal.close()
    page = page_of(tmp_path / "none")
    assert json.loads(page.scripts[0])["best"] is None
    assert "No trial has reported a value." in page.text


def test_many_trials_stay_a_small_file(made):
    folder = made(400, steps=60, forecast_every=10)
    page = render(read_story(folder))
    assert len(page) < 3e6
    data = json.loads(Tags(page).scripts[0])
    assert len(data["trials"]) == 400
    assert all(len(t["forecasts"]) <= 1 for t in data["trials"])
    assert len(data["parallel"]["lines"]) == 400
    assert re.search(r"Forecasts of \d+ of the 400 trials were scored", page)


def test_it_is_written_beside_the_journal_or_where_told(made, tmp_path):
    folder = made(2)
    assert write_report(folder) == folder / "report.html"
    assert write_report(folder / FILE_NAME, tmp_path / "out.html").read_text(encoding="utf-8").startswith("<!doctype")


@pytest.mark.parametrize("several", [True, False])
def test_a_folder_without_a_run_is_one_clear_mistake(made, tmp_path, several):
    if several:
        made(1)
    with pytest.raises(JobError) as caught:
        write_report(tmp_path)
    assert ("several: give one of run0" if several else "must be the folder of a run") in str(caught.value)
