"""Trials for other tools: what is exported runs as it is pasted, and nobody's name becomes code."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_runs import bare_brief
from typer.testing import CliRunner

from automl_gpt_ray import cli
from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.asktell import AskTell
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import load_model_card, parse_data_card
from automl_gpt_ray.cards.request import Request
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import ResultReported, RunStarted, TrialStarted
from automl_gpt_ray.export import export
from automl_gpt_ray.journal import FILE_NAME, Journal
from automl_gpt_ray.records import Observation, Proposal
from automl_gpt_ray.trials_table import trials_table, write_trials
from automl_gpt_ray.yaml_file import parse_yaml
from benchmarks.made_run import DATA, make_run

HOSTILE = "x\nimport os\nos.hacked = True\n'''\"\"\"\\"


def journalled(folder, brief, configs, metric=None, seed=3):
    """A run of `configs`, each of which reports two steps, the second better by its number."""
    journal = Journal(folder / FILE_NAME)
    name = metric or brief.objective.metric
    journal.append(RunStarted(name, "max", brief.max_steps, seed, configs[0], brief.to_dict()))
    for number, config in enumerate(configs):
        source = "default" if number == 0 else "classical"
        journal.append(TrialStarted(f"t{number}", Proposal(f"{source}-{number}", config, "why", source)))
        for step in (1, 2):
            seen = Observation(step, {name: 0.1 * number + 0.01 * step}, float(step))
            journal.append(ResultReported(f"t{number}", seen))
    journal.close()
    return folder


def shipped(name):
    from automl_gpt_ray.assignment.registry import shipped as folder

    return load_model_card(next(p for p in folder().rglob(f"{name}.yaml")))


def run_of(tmp_path, model, input_type, **data):
    card = shipped(model)
    brief = Brief.of(card, parse_data_card({**DATA, "input_type": input_type, **data}), Request())
    return journalled(tmp_path, brief, [dict(card.space.default)] * 2)


def executed(text):
    names = {}
    exec(compile(text, "exported", "exec"), names)
    return names


def test_what_is_exported_says_on_what_scale_targets_were_learnt(tmp_path):
    regression = {"task": "regression", "metric": "rmse", "label_space": {"column": "y"}}
    for name, data, told in (("r", regression, True), ("c", {}, False)):
        (tmp_path / name).mkdir()
        text = export(run_of(tmp_path / name, "xgboost", "tabular", **data), "xgboost")
        assert ("less their mean, divided by their standard deviation" in text) == told


def test_xgboost_trains_with_what_is_exported(tmp_path):
    xgboost = pytest.importorskip("xgboost")
    names = executed(export(run_of(tmp_path, "xgboost", "tabular"), "xgboost"))
    assert names["num_boost_round"] == 10  # two steps of five rounds
    assert names["params"]["objective"] == "binary:logistic"
    assert names["params"]["eta"] == 0.3
    assert names["others"]["encoding"] == "native"
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3))
    matrix = xgboost.DMatrix(features, (features[:, 0] > 0).astype(int))
    booster = xgboost.train(names["params"], matrix, names["num_boost_round"])
    assert booster.num_boosted_rounds() == 10


def test_training_arguments_are_made_of_what_is_exported(tmp_path):
    pytest.importorskip("transformers")
    pytest.importorskip("torch")
    text = export(run_of(tmp_path, "bert", "text"), "hf")
    made = executed(text)["training_arguments"]
    card = shipped("bert").space.default
    assert made.learning_rate == card["learning_rate"]
    assert made.per_device_train_batch_size == card["batch_size"]
    assert made.label_smoothing_factor == card["label_smoothing"]
    assert made.lr_scheduler_type == card["schedule"]
    assert made.max_grad_norm == card["gradient_clip"]
    assert made.num_train_epochs == 3
    assert made.seed == 3
    assert made.get_warmup_steps(1000) == round(1000 * card["warmup"])
    assert executed(text)["others"]["max_length"] == card["max_length"]


def test_training_arguments_say_what_ours_did_where_transformers_has_other_defaults(tmp_path):
    pytest.importorskip("transformers")
    pytest.importorskip("torch")
    for model, kind, config, told in (
        ("bert", "text", {"learning_rate": 0.1, "schedule": "constant", "warmup": 0.2}, ("constant_with_warmup", 1.0)),
        ("small_cnn", "image", {"learning_rate": 0.1}, ("cosine", 0.0)),
    ):
        brief = Brief.of(shipped(model), parse_data_card({**DATA, "input_type": kind}), Request())
        text = export(journalled(tmp_path / model, brief, [config]), "hf")
        made = executed(text)["training_arguments"]
        assert (made.lr_scheduler_type, made.max_grad_norm) == told
        assert (made.weight_decay, made.per_device_train_batch_size) == (0.01, 64)


def test_yaml_and_json_hold_the_trial(tmp_path):
    folder = run_of(tmp_path, "xgboost", "tabular")
    told = json.loads(export(folder, "json"))
    assert told == parse_yaml(export(folder, "yaml"), "exported", JobError)
    assert (told["trial"], told["step"], told["validation"]) == (2, 2, {"accuracy": pytest.approx(0.12)})
    assert json.loads(export(folder, "json", "1"))["id"] == "t0"
    assert json.loads(export(folder, "json", "t0"))["trial"] == 1


@pytest.mark.parametrize("form", ["hf", "xgboost"])
def test_names_do_not_become_code(tmp_path, form):
    config = {"learning_rate": 0.1, "max_depth": 3, HOSTILE: HOSTILE}
    folder = journalled(tmp_path, bare_brief(), [config], metric=HOSTILE)
    import os

    names = executed(export(folder, form))
    assert not hasattr(os, "hacked")
    assert names["others"][HOSTILE] == HOSTILE


def test_what_cannot_be_exported_is_said(tmp_path):
    folder = journalled(tmp_path / "run", bare_brief(), [{"shape": "leafwise"}])
    for form, lacks in (("hf", "`learning_rate`"), ("xgboost", "parameters of XGBoost")):
        with pytest.raises(JobError, match=lacks):
            export(folder, form)
    with pytest.raises(JobError, match="--trial"):
        export(folder, "json", "17")


@pytest.mark.parametrize(("model", "form"), [("lightgbm", "xgboost"), ("lightgbm", "hf"), ("xgboost", "hf")])
def test_names_of_another_library_are_not_exported(tmp_path, model, form):
    with pytest.raises(JobError, match="--format"):
        export(run_of(tmp_path, model, "tabular"), form)


def test_the_table_of_trials(tmp_path):
    folder = make_run(tmp_path, 12, steps=10, forecast_every=5)
    frame = trials_table(folder).to_pandas()
    assert list(frame["trial"]) == list(range(1, 13))
    assert set(frame["state"]) == {"completed", "stopped", "failed"}
    assert frame["failure"].dropna().unique().tolist() == ["oom"]
    first = frame.iloc[0]
    assert (first["source"], first["config/depth"], first["last_step"]) == ("default", 6, 10)
    assert len(first["curve"]) == 10
    assert first["accuracy"] == max(point["value"] for point in first["curve"])
    assert frame["predicted_final"].notna().sum() == 6
    diverged = frame["curve"].map(lambda curve: any(math.isnan(point["value"]) for point in curve))
    assert diverged.sum() == 1


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".json"])
def test_the_table_is_written(tmp_path, ending):
    folder, out = make_run(tmp_path / "run", 5, steps=4), tmp_path / f"trials{ending}"
    assert write_trials(folder, out) == 5
    if ending == ".parquet":
        assert pq.read_table(out).equals(trials_table(folder))
    elif ending == ".csv":
        assert "curve" not in out.read_text().splitlines()[0]
        assert len(out.read_text().splitlines()) == 6
    else:
        assert [row["trial"] for row in json.loads(out.read_text())] == [1, 2, 3, 4, 5]


def test_a_column_of_several_types_is_json(tmp_path):
    folder = journalled(tmp_path, bare_brief(), [{"a": 1, "b": 1}, {"a": "x", "b": 2.5}, {"a": None, "b": None}])
    table = trials_table(folder)
    assert table.column("config/a").to_pylist() == ["1", '"x"', None]
    assert table.column("config/b").to_pylist() == [1.0, 2.5, None]
    assert table.column("config/b").type == pa.float64()


def test_a_run_without_trials_has_an_empty_table(tmp_path):
    journal = Journal(tmp_path / FILE_NAME)
    journal.append(RunStarted("accuracy", "max", 4, 0, {}))
    journal.close()
    assert trials_table(tmp_path).num_rows == 0
    assert write_trials(tmp_path, tmp_path / "t.csv") == 0


def test_a_run_in_memory_is_told_apart_from_a_folder(tmp_path):
    brief = bare_brief()
    loop = AskTell(brief, assemble(brief), Book(Journal(tmp_path / FILE_NAME)))
    trial = loop.ask()
    loop.tell(trial.id, 1, {"accuracy": 0.5})
    loop.end(trial.id)
    loop.book.close()
    assert trials_table(tmp_path).column("accuracy").to_pylist() == [0.5]


def test_the_commands(tmp_path):
    folder = make_run(tmp_path / "run", 40, steps=4)

    def call(*arguments):
        return CliRunner().invoke(cli.app, [str(a) for a in arguments])

    shown = call("trials", folder)
    assert shown.exit_code == 0
    assert "and 10 more" in shown.output
    assert call("trials", folder, "--out", tmp_path / "t.parquet").output.startswith("40 trials written")
    assert "must end in" in str(call("trials", folder, "--out", tmp_path / "t.xls").exception)
    assert "can be written" in str(call("trials", folder, "--out", tmp_path / "no" / "t.csv").exception)
    assert parse_yaml(call("export", folder).output, "exported", JobError)["metric"] == "accuracy"
    assert call("export", folder, "--format", "xgboost", "--out", tmp_path / "x.py").exit_code == 0
    assert "num_boost_round" in (tmp_path / "x.py").read_text()
    assert "pyarrow" in sys.modules
