"""The command line: help, version, plans, and mistakes that end in one message."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from small_runs import DATA_CARD, MODEL_CARD, REQUEST, proposed
from typer.testing import CliRunner

from automl_gpt_ray import __version__, cli
from automl_gpt_ray.book import Book
from automl_gpt_ray.config import read_job
from automl_gpt_ray.errors import CardError, LLMUnavailable
from automl_gpt_ray.events import ResultReported, RunStarted, TrialStarted
from automl_gpt_ray.journal import FILE_NAME, Journal
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.outcome import summarise
from automl_gpt_ray.plan import make_plan
from automl_gpt_ray.records import Observation
from automl_gpt_ray.yaml_file import dump_yaml, parse_yaml

JOB = {"data_card": DATA_CARD, "model_card": MODEL_CARD, "request": REQUEST, "trials": 5, "classical": "random"}


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command line as its users do; returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["automl-gpt-ray", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return run


def saved(tmp_path, **changes):
    file = tmp_path / "job.yaml"
    file.write_text(dump_yaml({**JOB, **changes}))
    return file


def test_help_names_the_commands():
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for command in ("run", "plan", "replay", "cards"):
        assert command in result.output
    for command in (["run", "--help"], ["plan", "--help"], ["cards", "--help"], ["cards", "describe", "--help"]):
        assert CliRunner().invoke(cli.app, command).exit_code == 0


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys; from automl_gpt_ray import cli; sys.argv = ['x', '--version']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'ray', 'torch', 'optuna', 'openai', 'pandas', 'xgboost'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"automl-gpt-ray {__version__}\n[]\n"


def test_the_version(call):
    assert call("--version") == (0, f"automl-gpt-ray {__version__}\n", "")


def test_no_command_is_help(call):
    code, out, err = call()
    assert code in (0, 2)
    assert "plan" in out + err


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_bad_job_is_one_message(call, tmp_path, command):
    file = saved(tmp_path, trials=0, trails=3, model_card={**MODEL_CARD, "max_steps": 0})
    code, out, err = call(command, file)
    assert (code, out) == (2, "")
    assert "3 problems in the job" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such.yaml"],
        ["{job}", "--set", "trials"],
        ["{job}", "--set", "trials=[1"],
        ["{job}", "--set", "trails=5"],
        ["{job}", "--trials", "0"],
        ["{job}", "--trials", "many"],
        ["{job}", "--llm-model", "m", "--llm-url", "localhost"],
        ["{job}", "--llm-url", "http://localhost"],
        ["{job}", "--seed", "-1"],
        ["{job}", "--set", "budget.trials=6"],
        ["{job}", "--llm-model", "m", "--set", "budget.money=1"],
        [],
    ],
)
def test_mistakes_on_the_command_line(call, tmp_path, command, arguments):
    code, _, err = call(command, *(a.format(job=saved(tmp_path)) for a in arguments))
    assert code == 2
    assert err
    assert "Traceback" not in err


def test_an_error_of_the_package_is_one_line(call, tmp_path, monkeypatch):
    def fail(*_):
        raise LLMUnavailable("nobody there")

    monkeypatch.setattr("automl_gpt_ray.plan.make_plan", fail)
    code, _, err = call("plan", saved(tmp_path))
    assert (code, err) == (1, "LLMUnavailable: nobody there\n")


def test_a_key_in_the_wrong_place_is_not_shown(call, tmp_path):
    url = "https://user:hunter22@host/v1"
    code, _, err = call("plan", saved(tmp_path), "--set", "llm.model=m", "--set", f"llm.base_url={url}")
    assert (code, "hunter22" in err, "[redacted]@host" in err) == (2, False, True)
    code, _, err = call("plan", saved(tmp_path), "--set", "llm.model=m", "--set", "llm.api_key=shorty")
    assert (code, "shorty" in err, "llm.api_key" in err) == (2, False, True)


def test_a_plan_without_a_model(call, tmp_path):
    code, out, err = call("plan", saved(tmp_path), "--proposals", "2", "--set", "seed=4")
    assert (code, err) == (0, "")
    assert "No language model is configured" in out
    assert "<model_card>" in out
    assert "1. default: the default configuration" in out
    assert "3. classical" in out
    assert "4. classical" not in out
    assert "up to 5 trials and 40 training steps" in out


def test_a_plan_is_the_same_each_time(call, tmp_path):
    assert call("plan", saved(tmp_path)) == call("plan", saved(tmp_path))


def test_what_cards_say_is_no_markup(call, tmp_path):
    file = saved(tmp_path, data_card={**DATA_CARD, "name": "[red]x[/blue]", "description": "[/] [link=x]"})
    code, out, _ = call("plan", file)
    assert code == 0
    assert "[red]x[/blue]" in out
    assert "[link=x]" in out


def test_a_plan_with_a_model_that_fails_says_so():
    loaded = read_job(JOB)
    plan = make_plan(loaded, Scripted([LLMUnavailable("down")]), 2)
    assert plan.problem == "down"
    assert [p.source for p in plan.proposals] == ["default", "classical", "classical"]


def test_a_plan_with_a_model():
    item = {"reason": "why", "hyperparameters": {"eta": 0.1, "booster": "gbtree"}}
    reply = dump_json([item])
    client = Scripted([reply])
    plan = make_plan(read_job(JOB), client, 2)
    assert plan.problem == ""
    assert [p.source for p in plan.proposals] == ["default", "language"]
    assert client.prompts == (plan.prompt,)
    assert (plan.trials, plan.steps) == (5, 40)


def dump_json(items):
    import json

    return json.dumps({"proposals": items})


@pytest.mark.parametrize(
    ("failed", "values", "ended_by", "code"),
    [
        (True, [0.5], "an end", 3),
        (False, [0.5], "an end", 0),
        (False, [], "an end", 1),
        (False, [0.5], "interrupted", 130),
        (False, [], "interrupted", 130),
    ],
)
def test_the_exit_code_of_a_run(call, tmp_path, monkeypatch, failed, values, ended_by, code):
    def fake(loaded, *_):
        assert loaded.job.limits.limits == {"tokens": 900, "money": 0.5, "trials": 5}
        book = Book()
        book.record(RunStarted("accuracy", "max", 4, 0, {}))
        book.record(TrialStarted("t1", proposed({"eta": 0.1})))
        for value in values:
            book.record(ResultReported("t1", Observation(1, {"accuracy": value}, 1.0)))
        given = {"name": "x", "run_dir": tmp_path, "wall_seconds": 1.0, "ended_by": ended_by, "journal": tmp_path}
        return summarise(book, failed=failed, **given)

    monkeypatch.setattr("automl_gpt_ray.ray_tune.run.run", fake)
    file = saved(tmp_path, budget={"prices": {"m": {"input": 1, "output": 1}}})
    found, out, _ = call("run", file, "--llm-model", "m", "--tokens", "900", "--money", "0.5")
    assert found == code
    assert "once it has used 900 tokens, 0.5 US dollars" in out
    assert f"ended because {ended_by}" in out


def test_describe_writes_a_card(call, tmp_path):
    file = tmp_path / "leaves.csv"
    file.write_text("length,species\n" + "\n".join(f"{i},{'oak' if i % 2 else 'elm'}" for i in range(40)))
    code, out, err = call("cards", "describe", file, "--label", "species")
    assert (code, err) == (0, "")
    assert "species" in out
    code, _, err = call("cards", "describe", file, "--label", "colour")
    assert code == 2
    assert "Traceback" not in err


def test_what_is_written_into_a_pipe_is_utf_8_in_any_locale(tmp_path):
    file = tmp_path / "größe.csv"
    file.write_text("größe,label\n" + "1,no\n2,yes\n" * 20, encoding="utf-8")
    command = [sys.executable, "-m", "automl_gpt_ray.cli", "cards", "describe", file]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=True)
    assert parse_yaml(done.stdout.decode("utf-8"), "", CardError)["columns"][0]["name"] == "größe"
    done = subprocess.run(
        [*command, "--label", "läbel"], env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True
    )
    assert "got 'läbel'" in done.stderr.decode("utf-8")


def test_a_run_that_was_told_nothing_says_so(call, tmp_path):
    book = Book(Journal(tmp_path / FILE_NAME))
    book.record(RunStarted("accuracy", "max", 4, 0, {}, read_job(JOB).brief.to_dict()))
    assert call("feedback", tmp_path) == (0, "nothing has been said to this run\n", "")
