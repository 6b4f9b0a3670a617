import json
import math

import pytest

from automl_gpt_ray.cards import parse_data_card
from automl_gpt_ray.errors import DataError, JobError, SpaceError, TrainingError
from automl_gpt_ray.training import table_steps, tabular
from automl_gpt_ray.training.scores import reported
from automl_gpt_ray.training.tabular import evaluate, fit
from training.small import card_of, task_of

SAMPLED = {
    "rounds_per_step": 3,
    "subsample": 0.7,
    "colsample_bytree": 0.6,
    "eta": 0.2,
    "max_depth": 3,
    "imputation": "median_indicator",
    "encoding": "onehot",
}


def curve(steps):
    return [{name: value for name, value in step.metrics.items() if name != "seconds"} for step in steps]


def saved(step, folder):
    folder.mkdir()
    step.save(folder)
    return folder


def test_every_step_reports_validation_and_training_metrics(table_card):
    steps = curve(fit(SAMPLED, task_of(table_card)))
    assert [step["step"] for step in steps] == [1, 2, 3, 4]
    assert {"accuracy", "balanced_accuracy", "log_loss", "roc_auc", "f1_macro", "error_rate"} <= set(steps[0])
    assert {"train_accuracy", "train_log_loss"} <= set(steps[0])
    assert steps[-1]["train_log_loss"] < steps[0]["train_log_loss"]
    assert steps[-1]["accuracy"] > 0.65


@pytest.mark.parametrize("config", [SAMPLED, {**SAMPLED, "encoding": "native", "class_weighting": "balanced"}])
def test_a_resumed_training_goes_on_as_if_uninterrupted(table_card, tmp_path, config):
    task = task_of(table_card)
    whole = list(fit(config, task))
    steps = fit(config, task)
    next(steps)
    second = next(steps)
    folder = saved(second, tmp_path / "two")
    steps.close()
    rest = list(fit(config, task, folder))
    assert curve(rest) == curve(whole)[2:]
    assert rest[0].metrics["seconds"] > second.metrics["seconds"]


def test_nothing_is_left_to_do_after_the_last_step(table_card, tmp_path):
    last = list(fit(SAMPLED, task_of(table_card)))[-1]
    assert list(fit(SAMPLED, task_of(table_card), saved(last, tmp_path / "last"))) == []


def test_a_hot_change_takes_effect_at_the_next_step(table_card):
    config = dict(SAMPLED)
    steps = fit(config, task_of(table_card))
    changed = [next(steps)]
    config["eta"] = 0.0
    changed += list(steps)
    values = [step["train_log_loss"] for step in curve(changed)]
    assert values[1:] == pytest.approx([values[0]] * 3)


def test_preprocessing_cannot_change_under_a_checkpoint(table_card, tmp_path):
    folder = saved(next(fit(SAMPLED, task_of(table_card))), tmp_path / "one")
    with pytest.raises(TrainingError, match="encoding"):
        next(fit({**SAMPLED, "encoding": "ordinal"}, task_of(table_card), folder))


def test_the_data_processing_choices_change_what_is_trained(table_card):
    def final(**choices):
        return list(fit({**SAMPLED, **choices}, task_of(table_card)))[-1].metrics["log_loss"]

    assert len({final(), final(class_weighting="balanced"), final(encoding="frequency")}) == 3


def test_evaluate_scores_the_checkpoint_on_each_split(table_card, tmp_path):
    step = list(fit(SAMPLED, task_of(table_card)))[-1]
    folder = saved(step, tmp_path / "last")
    validation = evaluate(SAMPLED, task_of(table_card), folder, "validation")
    assert validation == pytest.approx({name: step.metrics[name] for name in validation})
    assert evaluate(SAMPLED, task_of(table_card), str(folder))["accuracy"] > 0.6
    assert json.loads((folder / "state.json").read_text())["config"] == SAMPLED


def test_evaluate_without_a_test_split_is_a_data_error(table_card, tmp_path):
    card = table_card.model_copy(update={"test_share": 0.0})
    folder = saved(next(fit(SAMPLED, task_of(card))), tmp_path / "one")
    with pytest.raises(DataError, match="a `test` split must be given"):
        evaluate(SAMPLED, task_of(card), folder)


def test_unknown_categories_of_the_test_split_do_no_harm(tmp_path):
    (tmp_path / "train.csv").write_text("c,n,label\n" + "a,1,no\nb,2,yes\n" * 20)
    (tmp_path / "test.csv").write_text("c,n,label\nnew,1,no\nb,2,yes\n")
    task = task_of(card_of(load={"format": "csv", "path": str(tmp_path)}))
    for encoding in ("native", "ordinal", "onehot", "frequency"):
        config = {"encoding": encoding, "min_child_weight": 0.1}
        folder = saved(list(fit(config, task))[-1], tmp_path / encoding)
        assert math.isfinite(evaluate(config, task, folder)["log_loss"])


@pytest.mark.parametrize(("name", "classes"), [("iris", ["setosa", "versicolor", "virginica"]), ("diabetes", [])])
def test_bundled_sets_of_several_classes_and_of_targets(name, classes):
    card = card_of(
        task="classification" if classes else "regression",
        metric="accuracy" if classes else "rmse",
        label_space={"classes": classes},
        load={"format": "sklearn", "name": name},
    )
    task = task_of(card, card.metric, "max" if classes else "min")
    last = list(fit({}, task))[-1].metrics
    assert last["accuracy"] > 0.85 if classes else last["r2"] > 0.2
    assert ("train_log_loss" if classes else "train_rmse") in last


def test_divergence_is_reported_and_then_an_error(table_card, monkeypatch):
    monkeypatch.setattr(table_steps, "scores", lambda *_: dict.fromkeys(reported(table_card), math.nan))
    steps = fit(SAMPLED, task_of(table_card))
    assert math.isnan(next(steps).metrics["accuracy"])
    with pytest.raises(TrainingError) as caught:
        next(steps)
    assert caught.value.kind == "nan"


def test_lack_of_memory_has_its_own_class(table_card, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(tabular._Trees, "grow", exhausted)
    with pytest.raises(TrainingError) as caught:
        next(fit(SAMPLED, task_of(table_card)))
    assert caught.value.kind == "oom"


def test_what_the_trainer_would_not_obey_is_refused(table_card):
    with pytest.raises(SpaceError, match="max_depth"):
        next(fit({"max_dept": 3}, task_of(table_card)))
    with pytest.raises(SpaceError, match="class_weighting"):
        next(fit({"class_weighting": "squared"}, task_of(table_card)))
    with pytest.raises(JobError, match=r"objective\.metric"):
        next(fit({}, task_of(table_card, "recall_at_1")))


def test_what_xgboost_refuses_is_a_training_error(table_card):
    with pytest.raises(TrainingError, match="XGBoost gave up"):
        next(fit({"subsample": 7.0}, task_of(table_card)))


def test_a_folder_without_checkpoint_is_a_training_error(table_card, tmp_path):
    with pytest.raises(TrainingError, match=r"no readable state\.json"):
        evaluate({}, task_of(table_card), tmp_path)


def test_cards_may_name_no_data():
    card = parse_data_card({**card_of().model_dump(), "load": None})
    with pytest.raises(DataError, match="load"):
        next(fit({}, task_of(card)))
