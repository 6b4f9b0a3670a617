"""The job file: everything that is wrong with it and its cards is found at once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from small_runs import DATA_CARD, MODEL_CARD, REQUEST

from automl_gpt_ray.cards import load_model_card
from automl_gpt_ray.cli import _overrides
from automl_gpt_ray.config import load_job, read_job
from automl_gpt_ray.errors import InputError, JobError
from automl_gpt_ray.experience_options import place_of
from automl_gpt_ray.yaml_file import dump_yaml, setting

DIGITS = Path(__file__).resolve().parents[1] / "configs" / "digits_freeze_thaw.yaml"

JOB = {"name": "leaves", "data_card": DATA_CARD, "model_card": MODEL_CARD, "request": REQUEST, "trials": 5}


def job(**changes):
    return {k: v for k, v in {**JOB, **changes}.items() if v is not ...}


def problems(values):
    with pytest.raises(JobError) as caught:
        read_job(values)
    return [str(p) for p in caught.value.problems]


def test_a_good_job():
    loaded = read_job(JOB)
    assert (loaded.job.trials, loaded.data.name, loaded.model.name) == (5, "leaves", "trees")
    brief = loaded.brief
    assert (brief.objective.metric, brief.objective.mode, brief.max_steps) == ("accuracy", "max", 8)
    assert read_job(job(max_steps=3)).brief.max_steps == 3


OWN = "automl_gpt_ray.training.tabular:train"
BAD = {
    "unknown key": ({"trails": 5}, "`trails`: unknown key", "Did you mean `trials`?"),
    "unknown inner key": ({"llm": {"model": "m", "key": "sk-1"}}, "`llm.key`: unknown key", ""),
    "wrong type": ({"trials": "many"}, "`trials`: input should be a valid integer", "got 'many'"),
    "no trials": ({"trials": 0}, "`trials`", "greater than or equal to 1"),
    "half a trial": ({"trials": 2.5}, "`trials`", "2.5"),
    "negative seed": ({"seed": -1}, "`seed`", "greater than or equal to 0"),
    "no time": ({"time_budget_s": 0}, "`time_budget_s`", "greater than 0"),
    "no steps": ({"max_steps": 0}, "`max_steps`", "greater than or equal to 1"),
    "name of a path": ({"name": "../up"}, "`name`: names a folder", "Write `up`"),
    "empty name": ({"name": ""}, "`name`: names a folder", "Write `run`"),
    "long name": ({"name": "x" * 100}, "`name`: names a folder", "Write `xxx"),
    "sampler": ({"classical": "cma"}, "`classical`", "'tpe', 'gp' or 'random'"),
    "scheduler": ({"scheduler": {"type": "hyperband"}}, "`scheduler.type`", "'none', 'asha' or 'freeze_thaw'"),
    "misspelt scheduler key": ({"scheduler": {"typ": "asha"}}, "`scheduler.typ`: unknown key", "Did you mean `type`?"),
    "switch for trials": ({"trials": True}, "`trials`: must be a number", "got True. Write how many"),
    "switch for a budget": ({"trials": ..., "budget": {"trials": True}}, "`budget.trials`: must be a number", "True"),
    "switch for cpus": ({"resources": {"cpu": True}}, "`resources.cpu`: must be a number", "got True"),
    "seed beyond 32 bits": ({"seed": 2**32}, "`seed`", "less than 4294967296"),
    "card of nothing": ({"data_card": None}, "`data_card`: must be a card, or the file of one", "got None"),
    **{
        f"infinite {name}": ({key: {part: math.inf, **more}} if part else {key: math.inf}, f"`{name}`", "got inf")
        for name, more in {
            "time_budget_s": {},
            "budget.trials": {},
            "resources.cpu": {},
            "resources.memory_gb": {},
            "scheduler.eta": {},
            "scheduler.switch_cost": {},
            "llm.timeout_s": {"model": "m"},
            "llm.wait_s": {"model": "m"},
        }.items()
        for key, _, part in [name.partition(".")]
    },
    "llm url that is none": ({"llm": {"model": "m", "base_url": "http://[::1"}}, "`llm.base_url`", "got 'http://[::1'"),
    "eta": ({"scheduler": {"eta": 1.0}}, "`scheduler.eta`", "greater than 1"),
    "cpu": ({"resources": {"cpu": 0}}, "`resources.cpu`", "greater than 0"),
    "no model name": ({"llm": {}}, "`llm.model`: required key is missing", "Add it"),
    "empty model name": ({"llm": {"model": ""}}, "`llm.model`", "at least 1 character"),
    "llm url": ({"llm": {"model": "m", "base_url": "localhost:8000"}}, "must begin with http:// or https://", "Write"),
    "llm timeout": ({"llm": {"model": "m", "timeout_s": 0}}, "`llm.timeout_s`", "greater than 0"),
    "llm of text": ({"llm": "gpt"}, "`llm`", "'gpt'"),
    "metrics of a text": ({"request": {"metrics": "accuracy"}}, "`request.metrics`", "Write `['accuracy']`"),
    "unknown metric": ({"request": {"metrics": ["acuracy"]}}, "`request.metrics`", "Did you mean `accuracy`?"),
    "metric of another task": (
        {"model_card": {**MODEL_CARD, "trainable": OWN}, "request": {"metrics": ["accuracy", "rmse"]}},
        "`request.metrics`: must be among those that are measured for this data (accuracy",
        "got 'rmse'",
    ),
    "card's metric of another task": (
        {"model_card": {**MODEL_CARD, "trainable": OWN}, "data_card": {**DATA_CARD, "metric": "map"}, "request": {}},
        "`data_card: metric`",
        "got 'map'",
    ),
    "metric that no trainer of ours reports": (
        {"model_card": {**MODEL_CARD, "trainable": OWN}, "request": {"metrics": [{"name": "mine", "mode": "max"}]}},
        "`request.metrics`",
        "got 'mine'",
    ),
    "no data card": ({"data_card": ...}, "`data_card`: required key is missing", "Add it"),
    "card of a number": ({"model_card": 5}, "`model_card", "got 5"),
    "missing card file": ({"data_card": "no/such.yaml"}, "data_card (no/such.yaml)", "No such file"),
    "card file is a folder": ({"model_card": "."}, "must be a readable text file", "Check the path"),
    "task": ({"data_card": {**DATA_CARD, "task": "regression", "metric": "rmse"}}, "task `regression`", "another"),
    "budget of nothing": ({"budget": {"steps": 0}}, "`budget.steps`", "greater than or equal to 1"),
    "unknown budget": ({"budget": {"epochs": 5}}, "`budget.epochs`: unknown key", "Known: `after_tokens`"),
    "budget of no trials": ({"trials": ..., "budget": {"trials": 0}}, "`budget.trials`", "got 0"),
    "budget of a number": ({"budget": 5}, "`budget`", "got 5"),
    "two numbers of trials": ({"budget": {"trials": 6}}, "`budget.trials`: must not differ from `trials`", "got 6"),
    "two times": ({"time_budget_s": 5, "budget": {"seconds": 6}}, "`budget.seconds`", "Remove one of them"),
    "money without a price": (
        {"llm": {"model": "gpt"}, "budget": {"money": 1, "prices": {"gpt-mini": {"input": 1, "output": 2}}}},
        "`budget.prices`: must hold the price of the job's model `gpt`",
        "got ['gpt-mini']",
    ),
    "half a price": ({"budget": {"prices": {"gpt": {"input": 1}}}}, "`budget.prices.gpt.output`", "missing"),
    "outage policy": ({"llm": {"model": "m", "on_outage": "stop"}}, "`llm.on_outage`", "'classical', 'wait' or 'fail'"),
    "wait": ({"llm": {"model": "m", "wait_s": 0}}, "`llm.wait_s`", "greater than 0"),
    "input type": ({"model_card": {**MODEL_CARD, "input_types": ["image"]}}, "input type `tabular`", "another"),
}


def test_a_whole_fit_is_one_step_whatever_is_asked(tmp_path):
    card = {**MODEL_CARD, "step": "whole fit"}
    assert read_job(job(max_steps=6, model_card=card)).brief.max_steps == 1
    assert read_job(job(max_steps=6)).brief.max_steps == 6
    shipped = Path(__file__).parents[1] / "configs" / "cards" / "models" / "logistic_regression.yaml"
    assert load_model_card(shipped).steps(6) == 1


@pytest.mark.parametrize("name", BAD)
def test_a_bad_job_is_named(name):
    changes, *words = BAD[name]
    text = "\n".join(problems(job(**changes)))
    assert all(word in text for word in words), text


@pytest.mark.parametrize("value", ["off", "Off", "no", False, {"path": "OFF"}])
def test_experience_that_is_off(value):
    assert place_of(read_job(job(experience=value)).job.experience, "runs", "elsewhere") is None
    assert place_of(read_job(job(experience="here")).job.experience, "runs", "elsewhere") == "here"


def test_short_forms_and_the_budget_are_one():
    short = read_job(job(time_budget_s=60, budget={"steps": 9})).job
    long = read_job(job(trials=..., budget={"trials": 5, "seconds": 60, "steps": 9})).job
    assert short.limits == long.limits
    assert long.limits.limits == {"seconds": 60.0, "steps": 9, "trials": 5}
    assert (long.trials, long.time_budget_s) == (5, 60.0)
    assert read_job(job(trials=...)).job.limits.limits == {"trials": 20}
    assert read_job(job(budget={"trials": 5})).job.trials == 5


def test_a_dated_price_is_a_price():
    prices = {"gpt": {"input": 1.25, "output": 10}}
    loaded = read_job(job(llm={"model": "gpt-2026-01-01"}, budget={"money": 1, "prices": prices}))
    assert loaded.job.limits.prices["gpt"].output == 10.0
    assert read_job(job(budget={"money": 1})).job.llm is None  # nothing can be spent


def test_overrides_replace_the_long_form_too(tmp_path):
    file = saved(tmp_path, trials=..., budget={"trials": 5, "seconds": 60, "steps": 9})
    limits = load_job(file, {"trials": 9, "time_budget_s": 1.5, "budget.tokens": 70}).job.limits
    assert limits.limits == {"seconds": 1.5, "steps": 9, "tokens": 70, "trials": 9}


def test_the_job_and_both_cards_are_told_at_once():
    bad = job(
        trails=5,
        trials=0,
        data_card={**DATA_CARD, "metric": "acuracy", "colour": "red"},
        model_card={**MODEL_CARD, "tasks": [], "max_steps": 0},
    )
    found = problems(bad)
    assert len(found) == 6
    text = "\n".join(found)
    for field in (
        "`trails`",
        "`trials`",
        "data_card: metric",
        "data_card: colour",
        "model_card: tasks",
        "model_card: max_steps",
    ):
        assert field in text


def test_both_mismatches_are_told():
    found = problems(job(model_card={**MODEL_CARD, "tasks": ["retrieval"], "input_types": ["text"]}))
    assert len(found) == 2


def test_cards_in_files_are_relative_to_the_job(tmp_path):
    (tmp_path / "cards").mkdir()
    data = {**DATA_CARD, "load": {"format": "csv", "path": "leaves.csv"}}
    (tmp_path / "cards" / "data.yaml").write_text(dump_yaml(data))
    (tmp_path / "cards" / "model.yaml").write_text(dump_yaml(MODEL_CARD))
    file = tmp_path / "job.yaml"
    file.write_text(dump_yaml(job(data_card="cards/data.yaml", model_card="cards/model.yaml")))
    loaded = load_job(file)
    assert loaded.data.load.path == str(tmp_path / "cards" / "leaves.csv")
    assert loaded.source == str(file)
    (tmp_path / "cards" / "data.yaml").write_text("name: [")
    (tmp_path / "cards" / "model.yaml").unlink()
    with pytest.raises(JobError) as caught:
        load_job(file)
    assert len(caught.value.problems) == 2
    assert "data.yaml" in str(caught.value)
    assert "model.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "a: 1\na: 2", "\x00", "5"])
def test_a_file_that_is_no_job(tmp_path, text):
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(JobError):
        load_job(tmp_path / "job.yaml")


def test_no_file(tmp_path):
    with pytest.raises(JobError, match="No such file"):
        load_job(tmp_path / "job.yaml")


def saved(tmp_path, **changes):
    file = tmp_path / "job.yaml"
    file.write_text(dump_yaml(job(**changes)))
    return file


def test_overrides_replace_values_and_make_what_is_missing(tmp_path):
    file = saved(tmp_path, llm={"model": "small", "temperature": 0.5})
    loaded = load_job(file, {"trials": 9, "llm.model": "large", "scheduler.type": "asha", "resources.gpu": 1})
    assert (loaded.job.trials, loaded.job.scheduler.type, loaded.job.resources.gpu) == (9, "asha", 1.0)
    assert (loaded.job.llm.model, loaded.job.llm.temperature) == ("large", 0.5)
    assert load_job(file, {"llm": None}).job.llm is None
    assert load_job(file, {"llm.temperature": None}).job.llm.temperature is None
    assert load_job(file, {"model_card.max_steps": 2}).brief.max_steps == 2


@pytest.mark.parametrize("key", ["", ".", "trials.", "llm..model", "nothing", "data_card.colour"])
def test_an_override_of_nothing_is_an_error(tmp_path, key):
    with pytest.raises(InputError):
        load_job(saved(tmp_path), {key: 1})


def test_a_data_path_of_data_that_comes_with_a_library_is_refused(tmp_path):
    with pytest.raises(JobError) as caught:
        load_job(DIGITS, {"data.path": str(tmp_path)})
    (problem,) = caught.value.problems
    assert problem.field == "data.path"
    assert "comes with scikit-learn" in problem.rule


def test_the_data_path_replaces_the_cards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = saved(tmp_path, data_card={**DATA_CARD, "load": {"format": "csv", "path": "a.csv"}})
    assert load_job(file).data.load.path == str(tmp_path / "a.csv")
    assert load_job(file, {"data.path": "b.csv"}).data.load.path == str(Path.cwd() / "b.csv")
    assert load_job(saved(tmp_path), {"data.path": "b.csv"}).data.load is None


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("trials=5", "trials", 5),
        ("a.b=x=y", "a.b", "x=y"),
        ("a=", "a", None),
        ("a=null", "a", None),
        ("a=1e-3", "a", 1e-3),
        ("a=true", "a", True),
        ("a=[x, 2]", "a", ["x", 2]),
        ("a={type: asha}", "a", {"type": "asha"}),
        ("a='5'", "a", "5"),
        ("a=http://localhost:8000/v1", "a", "http://localhost:8000/v1"),
    ],
)
def test_settings_of_the_command_line(text, key, value):
    assert setting(text) == (key, value)


@pytest.mark.parametrize("text", ["trials", "", "=5", "a=[1", "a=b: c", "a={"])
def test_settings_that_are_none(text):
    with pytest.raises(JobError, match="--set"):
        setting(text)


def test_command_line_values_become_overrides():
    given = _overrides(3, 1.5, None, Path("d"), "m", "http://x", False, 0, ["trials=4", "retries=1"])
    assert given == {
        "trials": 4,
        "time_budget_s": 1.5,
        "data.path": "d",
        "llm.model": "m",
        "llm.base_url": "http://x",
        "seed": 0,
        "retries": 1,
    }
    assert _overrides(*[None] * 6, True, None, None) == {"llm": None}


def by_workers(workers, batch, **changes):
    """A job of `workers` a trial whose Model Card has `batch` for its batch size."""
    learnt = {**MODEL_CARD["hyperparameters"], **({"batch_size": batch} if batch else {})}
    return job(workers_per_trial=workers, model_card={**MODEL_CARD, "hyperparameters": learnt}, **changes)


def test_workers_share_a_batch_evenly_and_no_gpu():
    choices = {"type": "choice", "choices": [16, 31, 64], "default": 16}
    (told,) = problems(by_workers(2, choices))
    assert "`model_card: batch_size`: is the batch of all workers together" in told
    assert "a multiple of 2, got [31]" in told
    assert len(problems(by_workers(3, choices))) == 1
    assert read_job(by_workers(1, choices)).job.gpus_per_trial == 0
    assert read_job(by_workers(4, {**choices, "choices": [16, 64]}, resources={"gpu": 1})).job.gpus_per_trial == 4
    grid = {"type": "int", "low": 8, "high": 64, "step": 8, "default": 8}
    assert read_job(by_workers(4, grid)).job.workers_per_trial == 4
    assert "8 to 64 in steps of 1" in problems(by_workers(4, {**grid, "step": 1}))[0]
    assert "got [30]" in problems(by_workers(4, {"type": "constant", "value": 30}))[0]
    found = "\n".join(problems(by_workers(2, None, resources={"gpu": 0.5}, reuse_actors=True)))
    assert "`resources.gpu`: must be 0 or 1 with `workers_per_trial: 2`" in found
    assert "`reuse_actors`: must not be true" in found
    assert "`workers_per_trial`" in problems(job(workers_per_trial=0))[0]
