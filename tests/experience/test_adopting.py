"""What others searched before, taken over as experience: Optuna studies and Ray Tune experiments."""

from __future__ import annotations

import json

import optuna
import pytest
from small_runs import full_brief
from typer.testing import CliRunner

from automl_gpt_ray import cli
from automl_gpt_ray.cards.card_yaml import to_yaml
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.experience.adopting import of_experiment, of_study
from automl_gpt_ray.experience.recalling import recall
from automl_gpt_ray.experience.store import ExperienceStore
from automl_gpt_ray.experience_options import ExperienceOptions
from automl_gpt_ray.records import TrialState


def objective(trial):
    eta = trial.suggest_float("eta", 0.01, 0.5, log=True)
    trial.suggest_int("leaves", 2, 9)
    if trial.number == 3:
        raise RuntimeError("out of memory")
    for step in range(8):
        trial.report(eta * (step + 1), step)
        if trial.number == 2 and step == 3:
            raise optuna.TrialPruned
    return eta * 8


@pytest.fixture
def study():
    made = optuna.create_study(direction="maximize", study_name="my study", sampler=optuna.samplers.RandomSampler(0))
    made.optimize(objective, n_trials=6, catch=(RuntimeError,))
    return made


def test_a_study_becomes_experience(study, tmp_path):
    brief = full_brief()
    found, left = of_study(study, brief)
    assert found.run.startswith("my-study-")
    states = [trial.state for trial in found.trials]
    assert states == [
        TrialState.STOPPED if n == 2 else TrialState.FAILED if n == 3 else TrialState.COMPLETED for n in range(6)
    ]
    best = found.best[0]
    assert best[0] == pytest.approx(study.best_value)
    assert best[1].config["eta"] == study.best_params["eta"]
    assert best[1].config["booster"] == "gbtree"  # the default's, for the study had none
    assert [step for step, _ in best[1].curve("accuracy")] == list(range(1, 9))
    assert found.trials[2].last_step == 4
    assert left == ["`leaves` of 6 trials: the Model Card does not have it, or not that value"]
    assert of_study(study, brief)[0].run == found.run
    store = ExperienceStore(tmp_path)
    store.append(found)
    assert store.read(found.run).best[0][0] == best[0]
    recalled = recall(store, brief, ExperienceOptions())
    assert recalled.runs[0].settings[0].config["eta"] == study.best_params["eta"]


def test_a_study_of_another_direction_is_refused(study):
    with pytest.raises(JobError, match="direction MINIMIZE"):
        of_study(study, full_brief(request={"metrics": ["log_loss"]}))


def test_a_study_without_results_is_refused():
    empty = optuna.create_study(direction="maximize")
    with pytest.raises(JobError, match="must hold a trial"):
        of_study(empty, full_brief())


def tune_trial(folder, name, config, values, error=False):
    place = folder / name
    place.mkdir(parents=True)
    (place / "params.json").write_text(json.dumps(config))
    lines = [
        json.dumps({"accuracy": value, "training_iteration": i, "time_total_s": 2.0 * i, "pid": 7, "done": False})
        for i, value in enumerate(values, 1)
    ]
    (place / "result.json").write_text("\n".join([*lines, '{"accuracy": 0.']))
    if error:
        (place / "error.txt").write_text("boom")


def test_a_tune_experiment_becomes_experience(tmp_path):
    tune_trial(tmp_path, "a", {"eta": 0.1, "depth": 3}, [0.1 * i for i in range(1, 9)])
    tune_trial(tmp_path, "b", {"eta": 0.2, "depth": 99}, [0.3, float("nan")])
    tune_trial(tmp_path, "c", {"eta": 0.2, "model": {"width": 3}}, [], error=True)
    found, left = of_experiment(tmp_path, full_brief())
    assert [t.state for t in found.trials] == [TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED]
    assert found.best[0][0] == pytest.approx(0.8)
    assert found.best[0][1].seconds == 16.0
    assert list(found.trials[0].observations[0].metrics) == ["accuracy"]
    assert found.trials[1].config["depth"] == 6
    assert {line.split("`")[1] for line in left} == {"depth", "model/width"}


def test_the_command(study, tmp_path):
    brief, place = full_brief(), tmp_path / "kept.log"
    (tmp_path / "data.yaml").write_text(to_yaml(brief.data))
    (tmp_path / "model.yaml").write_text(json.dumps(brief.to_dict()["model"]))
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(place)))
    kept = optuna.create_study(direction="maximize", study_name="kept", storage=storage)
    kept.add_trials(study.trials)
    cards = [
        "--data-card",
        tmp_path / "data.yaml",
        "--model-card",
        tmp_path / "model.yaml",
        "--store",
        tmp_path / "store",
    ]

    def call(source):
        return CliRunner().invoke(
            cli.app, ["experience", "adopt", str(source), *map(str, [*cards, "--store", tmp_path / "store"])]
        )

    done = call(place)
    assert done.exit_code == 0, done.output
    assert "6 trials taken into" in done.output
    assert len(ExperienceStore(tmp_path / "store").ids()) == 1
    tune_trial(tmp_path / "experiment", "a", {"eta": 0.1}, [0.5])
    assert "1 trials taken into" in call(tmp_path / "experiment").output
    for source in (tmp_path / "none.db", f"sqlite:///{tmp_path}/none.db"):
        assert f"there is no file {tmp_path / 'none.db'}" in str(call(source).exception)
    assert not list(tmp_path.glob("none.db*"))
    optuna.create_study(study_name="lite", storage=f"sqlite:///{tmp_path}/kept.db", direction="maximize").add_trials(
        study.trials
    )
    assert "6 trials taken into" in call(f"sqlite:///{tmp_path}/kept.db").output
