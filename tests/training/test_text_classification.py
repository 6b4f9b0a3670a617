import logging
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from automl_gpt_ray.cards import load_data_card
from automl_gpt_ray.errors import DataError, JobError, SpaceError, TrainingError
from automl_gpt_ray.live import live
from automl_gpt_ray.training import fine_tuning, tokenisation, transformer_models
from automl_gpt_ray.training.data_check import check_data
from automl_gpt_ray.training.text_classification import evaluate, learn
from automl_gpt_ray.training.texts import load_texts
from training.small import Reports, card_of, task_of

CARDS = Path(__file__).resolve().parents[2] / "configs" / "cards" / "data"
TINY = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocabulary": 200,
    "max_length": 12,
    "batch_size": 16,
    "learning_rate": 0.01,
    "dropout": 0.1,
    "schedule": "linear",
    "warmup": 0.1,
}


def sentences(count=160):
    """Texts whose words tell their label, and some that are longer than twelve tokens."""
    rng = np.random.default_rng(0)
    words = {"yes": ["fine", "grand", "lovely"], "no": ["poor", "weak", "dreadful"]}
    rows = []
    for i in range(count):
        label = "yes" if i % 3 else "no"
        filler = ["the", "play", "was"] * (6 if i % 8 == 0 else 1)
        rows.append((" ".join([*filler, *rng.choice(words[label], 2)]), label))
    return pd.DataFrame(rows, columns=["text", "label"])


def text_card(path, frame, **values):
    frame.to_csv(path / "texts.csv", index=False)
    return card_of(**{"input_type": "text", "load": {"format": "csv", "path": str(path / "texts.csv")}, **values})


@pytest.fixture
def card(tmp_path):
    return text_card(tmp_path, sentences())


def test_a_fresh_model_learns_and_a_resumed_training_goes_on_as_if_uninterrupted(card, tmp_path):
    task, whole, rest = task_of(card), Reports(tmp_path / "whole"), Reports(tmp_path / "rest")
    learn(TINY, task, whole)
    assert [step["step"] for step in whole.steps] == [1, 2, 3, 4]
    assert {"accuracy", "log_loss", "roc_auc", "train_loss", "truncated"} <= set(whole.steps[0])
    assert whole.steps[-1]["accuracy"] > 0.9
    assert 0.05 < whole.steps[0]["truncated"] < 0.2
    torch.manual_seed(12345)  # what another process would have drawn
    learn(TINY, task, rest, whole.checkpoint(2))
    assert rest.curve == whole.curve[2:]
    assert rest.steps[0]["seconds"] > whole.steps[1]["seconds"]
    found = evaluate({}, task, whole.checkpoint(4), "validation")
    assert found == pytest.approx({name: whole.steps[-1][name] for name in found}, abs=1e-5)
    assert evaluate({}, task, whole.checkpoint(4))["accuracy"] > 0.9


def test_a_checkpoint_is_a_model_that_another_training_starts_from(card, tmp_path):
    first, second = Reports(tmp_path / "first"), Reports(tmp_path / "second")
    learn(TINY, task_of(card), first)
    learn(
        {"model": str(first.checkpoint(4)), "max_length": 12, "learning_rate": 0.0}, task_of(card, max_steps=1), second
    )
    assert second.steps[0]["log_loss"] == pytest.approx(first.steps[-1]["log_loss"], abs=1e-5)


@pytest.mark.parametrize("told", [lambda config: config, live], ids=["dict", "live"])
def test_hot_changes_take_effect_at_the_next_update(card, tmp_path, told):
    config = {**TINY, "schedule": "constant", "dropout": 0.0, "weight_decay": 0.3}
    reports = Reports(tmp_path / "reports")
    seen = []

    def report(metrics, folder):
        reports(metrics, folder)
        seen.append(float(metrics["log_loss"]))
        config.update(learning_rate=0.0, dropout=0.4)

    learn(told(config), task_of(card), report)
    assert len(set(seen)) == 1
    assert reports.steps[1]["train_loss"] != reports.steps[2]["train_loss"]  # dropout is drawn anew


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("distilbert", {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}),
        ("gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2}),
        ("xlnet", {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32}),
    ],
)
def test_other_types_train_too(card, tmp_path, model_type, settings):
    reports = Reports(tmp_path / "reports")
    shared = {"vocabulary": 200, "max_length": 12, "learning_rate": 0.003}
    learn({"model_type": model_type, **settings, **shared}, task_of(card, max_steps=1), reports)
    assert evaluate({}, task_of(card), reports.checkpoint(1), "validation")["accuracy"] == reports.steps[0]["accuracy"]


def test_the_optimiser_obeys_decay_groups_and_freezing():
    described = transformer_models.describe(TINY, {"hidden_size", "num_hidden_layers", "num_attention_heads"}, {})
    from transformers import AutoModelForSequenceClassification as Auto

    model = transformer_models.build(Auto, TINY, described, seed=0)
    optimizer = fine_tuning.optimizer_for(model, TINY)
    assert {(g["backbone"], g["decays"]) for g in optimizer.param_groups} == {
        (b, d) for b in (True, False) for d in (True, False)
    }
    frozen = fine_tuning.optimizer_for(model, {**TINY, "frozen_backbone": True})
    assert sum(p.numel() for g in frozen.param_groups for p in g["params"]) == 2 * 16 + 2


def test_divergence_is_reported_and_then_an_error(card, tmp_path):
    reports = Reports(tmp_path / "reports")
    wild = {**TINY, "optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e30, "gradient_clip": 1e9, "warmup": 0.0}
    with pytest.raises(TrainingError) as caught:
        learn(wild, task_of(card, "log_loss", "min"), reports)
    assert caught.value.kind == "nan"
    assert math.isnan(reports.steps[0]["log_loss"])


def test_lack_of_memory_has_its_own_class(card, tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fine_tuning._Trainer, "compute_loss", exhausted)
    with pytest.raises(TrainingError) as caught:
        learn(TINY, task_of(card), Reports(tmp_path / "reports"))
    assert caught.value.kind == "oom"


def test_what_a_checkpoint_is_bound_to_cannot_change(card, tmp_path):
    reports = Reports(tmp_path / "reports")
    learn(TINY, task_of(card, max_steps=1), reports)
    for change in ({"hidden_size": 32}, {"batch_size": 8}, {"max_length": 8}):
        with pytest.raises(TrainingError, match=next(iter(change))):
            learn({**TINY, **change}, task_of(card), reports, reports.checkpoint(1))
    (reports.checkpoint(1) / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="holds no readable model"):
        evaluate({}, task_of(card), reports.checkpoint(1))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hiden_size": 16}, "hidden_size"),
        ({"model_type": "birt"}, "did you mean|Did you mean"),
        ({"model_type": None}, "must name a model of transformers"),
        ({"hidden_size": 15}, "must fit each other"),
        ({"max_length": 4000}, "must not exceed the 512 tokens"),
        ({"dropout": 1.5}, "dropout"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"schedule": "saw"}, "schedule"),
    ],
)
def test_what_the_trainer_would_not_obey_is_refused(card, tmp_path, change, expected):
    with pytest.raises(SpaceError, match=expected):
        learn({**TINY, **change}, task_of(card, max_steps=1), Reports(tmp_path / "reports"))


@pytest.mark.parametrize("model_type", ["bert", "roberta", "camembert", "mpnet"])
def test_the_longest_text_that_is_let_through_trains(card, tmp_path, model_type):
    config = {**TINY, "model_type": model_type, "max_position_embeddings": 12}
    with pytest.raises(SpaceError, match=r"must not exceed the \d+ tokens") as caught:
        learn({**config, "max_length": 13}, task_of(card, max_steps=1), Reports(tmp_path / "reports"))
    limit = int(re.search(r"the (\d+) tokens", str(caught.value))[1])
    assert limit == (12 if model_type == "bert" else 10)
    reports = Reports(tmp_path / "reports")
    learn({**config, "max_length": limit}, task_of(card, max_steps=1), reports)
    assert math.isfinite(reports.steps[0]["train_loss"])


@pytest.mark.parametrize("change", [{"model": "/nowhere/bert"}, {"tokenizer": "/nowhere/tokens"}])
def test_models_that_are_not_there_are_named(card, tmp_path, change):
    with pytest.raises(JobError, match="/nowhere"):
        learn({**TINY, **change}, task_of(card, max_steps=1), Reports(tmp_path / "reports"))


@pytest.mark.parametrize("kind", tokenisation.TRAINED)
def test_trained_tokenizers_frame_pairs(kind):
    tokenizer = tokenisation.train_tokenizer(kind, sentences()["text"], 150, lowercase=True)
    examples, cut = tokenisation.encode(tokenizer, [("the play was", "Grand"), ("lovely " * 90, "poor")], 40)
    assert cut == 0.5
    assert len(examples[1]["input_ids"]) == 40
    assert sorted(set(examples[0]["token_type_ids"])) == [0, 1]
    assert tokenizer.decode(examples[0]["input_ids"]).count("[SEP]") == 2


def test_pairs_and_targets(tmp_path):
    frame = sentences().rename(columns={"text": "first"})
    frame["second"] = frame["first"].where(frame.index % 5 > 0, "")
    frame["label"] = frame["first"].str.len() / 10
    card = text_card(
        tmp_path,
        frame,
        task="regression",
        metric="rmse",
        input_type="text_pair",
        label_space={"column": "label"},
        load={"format": "csv", "path": str(tmp_path / "texts.csv"), "text_columns": ["first", "second"]},
    )
    reports = Reports(tmp_path / "reports")
    learn({**TINY, "max_length": 48}, task_of(card, "rmse", "min", max_steps=2), reports)
    assert reports.steps[-1]["rmse"] < reports.steps[0]["rmse"]


def valued(folder, centre, spread):
    """Texts whose words add up to their target, and their card."""
    worth = {"fine": 1.0, "grand": 2.0, "lovely": 3.0, "poor": -1.0, "weak": -2.0, "dreadful": -3.0}
    frame = sentences()
    sums = frame["text"].map(lambda text: sum(worth.get(word, 0.0) for word in text.split()))
    folder.mkdir()
    kind = {"task": "regression", "metric": "r2", "label_space": {"column": "label"}}
    return text_card(folder, frame.assign(label=centre + spread * sums), **kind)


def test_targets_of_any_unit_are_learnt_alike_and_gone_on_with(tmp_path):
    plain, far, rest = (Reports(tmp_path / name) for name in ("plain", "far", "rest"))
    learn(TINY, task_of(valued(tmp_path / "z", 0.0, 1.0), "r2", max_steps=6), plain)
    task = task_of(valued(tmp_path / "y", 1e5, 1e4), "r2", max_steps=6)
    learn(TINY, task, far)
    assert plain.steps[-1]["r2"] > 0.8
    assert far.steps[-1]["r2"] == pytest.approx(plain.steps[-1]["r2"], abs=0.02)
    learn(TINY, task, rest, far.checkpoint(4))
    # But for the last bits of sums, which hang on where in memory the weights lie.
    assert [step["rmse"] for step in rest.steps] == pytest.approx([step["rmse"] for step in far.steps[4:]], rel=1e-6)
    assert evaluate({}, task, far.checkpoint(6), "validation")["r2"] == pytest.approx(far.steps[-1]["r2"], abs=1e-5)


def test_a_checkpoint_without_a_scale_predicts_in_the_datas_unit(tmp_path):
    reports, task = Reports(tmp_path / "reports"), task_of(valued(tmp_path / "y", 1e5, 1e4), "r2", max_steps=1)
    learn(TINY, task, reports)
    scale = reports.checkpoint(1) / "targets.json"
    scale.write_text("{", encoding="utf-8")
    with pytest.raises(TrainingError, match="no readable targets"):
        evaluate({}, task, reports.checkpoint(1))
    scale.unlink()
    assert evaluate({}, task, reports.checkpoint(1))["mae"] == pytest.approx(1e5, rel=0.5)


def test_examples_without_text_are_left_out_and_counted(tmp_path, caplog):
    frame = sentences()
    frame.loc[:9, "text"] = ""
    card = text_card(tmp_path, frame)
    with caplog.at_level(logging.WARNING):
        assert sum(check_data(card).values()) == 150
    assert "have no text: skipped" in caplog.text
    assert sum(split.skipped for split in load_texts(card, ("train", "validation", "test"), 0).values()) == 10


def test_bad_texts_are_data_errors(tmp_path):
    frame = sentences()
    wrong = {
        "only missing ones": frame.assign(text=""),
        "'maybe'": frame.assign(label=["maybe", *frame["label"][1:]]),
        "at least two classes": frame.assign(label="yes"),
        "at least one example with a label": frame.assign(label=""),
        "column with the text must exist": frame.rename(columns={"text": "words"}),
    }
    for expected, rows in wrong.items():
        with pytest.raises(DataError, match=expected):
            check_data(text_card(tmp_path, rows))


@pytest.mark.shared
def test_real_messages(shared_data, tmp_path):
    shipped = load_data_card(CARDS / "sms_spam.yaml")
    load = shipped.load.model_copy(update={"path": str(shared_data / "sms_spam")})
    card = shipped.model_copy(update={"load": load})
    assert sum(check_data(card).values()) == shipped.size["train"] == 5574
    reports = Reports(tmp_path / "reports")
    learn({**TINY, "vocabulary": 2000, "max_length": 32, "batch_size": 64}, task_of(card, max_steps=1), reports)
    assert evaluate({}, task_of(card), reports.checkpoint(1))["accuracy"] > 0.9
