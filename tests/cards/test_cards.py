"""Cards: every problem at once, hostile text, and the way to YAML and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_gpt_ray.cards import (
    DataCard,
    ModelCard,
    load_data_card,
    load_model_card,
    parse_data_card,
    parse_model_card,
    parse_request,
    to_yaml,
)
from automl_gpt_ray.cards.free_text import MAX_TEXT
from automl_gpt_ray.errors import CardError
from automl_gpt_ray.yaml_file import parse_yaml

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "cards"

DATA = {
    "name": "adult",
    "task": "classification",
    "input_type": "tabular",
    "label_space": {"column": "income", "classes": ["<=50K", ">50K"]},
    "metric": "accuracy",
}
MODEL = {
    "name": "xgb",
    "structure": "gradient-boosted trees",
    "tasks": ["classification"],
    "input_types": ["tabular"],
    "data_processing": {"impute": {"type": "choice", "choices": ["none", None], "default": None}},
    "architecture": {"booster": {"type": "choice", "choices": ["gbtree", "dart"], "default": "gbtree"}},
    "hyperparameters": {
        "eta": {"type": "float", "low": 1e-5, "high": 0.5, "log": True, "default": 0.3},
        "depth": {"type": "int", "low": 1, "high": 12, "default": 6},
        "drop": {"type": "float", "low": 0.0, "high": 0.5, "default": 0.1, "when": {"booster": ["dart"]}},
        "tag": {"type": "constant", "value": "1e-4"},
    },
    "hot": ["eta"],
    "trainable": "a.b:c",
}


def lines(call, *args):
    with pytest.raises(CardError) as caught:
        call(*args)
    return str(caught.value).splitlines()


def test_every_problem_of_a_data_card_is_told_at_once():
    wrong = {**DATA, "task": "clasification", "metric": "acuracy", "size": {"train": 0}, "nmae": "x"}
    assert lines(parse_data_card, wrong, "card.yaml") == [
        "card.yaml: 4 problems in the card",
        "  - `task`: input should be 'classification', 'regression', 'object_detection', 'retrieval', "
        "'question_answering' or 'other', got 'clasification'.",
        "  - `metric`: must be a known metric, got 'acuracy'. Did you mean `accuracy`?",
        "  - `size`: split `train` must hold at least one example, got {'train': 0}. Correct or remove it.",
        "  - `nmae`: unknown key, got 'x'. Did you mean `name`?",
    ]


def test_every_problem_of_a_model_card_is_told_at_once():
    parameters = {
        "eta": {"type": "float", "low": 0.5, "high": 0.1, "default": 0.3},
        "depth": {"type": "int", "low": 1, "high": 12, "defualt": 6},
    }
    wrong = {**MODEL, "hyperparameters": parameters, "trainable": "a.b", "hot": []}
    assert lines(parse_model_card, wrong, "card.yaml") == [
        "card.yaml: 3 problems in the card",
        "  - `hyperparameters.eta`: `low` <= `high` must hold, got 0.5 > 0.1, "
        "got {'default': 0.3, 'high': 0.1, 'low': 0.5, 'type': 'float'}. Swap them.",
        "  - `hyperparameters.depth.defualt`: unknown key, got 6. Did you mean `default`?",
        "  - `trainable`: must be written `package.module:function`, got 'a.b'. Name an importable function.",
    ]


def test_what_must_hold_between_the_groups_of_a_model_card():
    parameters = {
        "eta": {"type": "float", "low": 0.1, "high": 0.5},
        "booster": {"type": "constant", "value": 1},
        "drop": {"type": "int", "low": 1, "high": 2, "default": 1, "when": {"boster": ["dart"]}},
    }
    assert lines(parse_model_card, {**MODEL, "hyperparameters": parameters, "hot": []})[1:] == [
        "  - `hyperparameters.booster`: stands in two groups. Keep it in one.",
        "  - `hyperparameters.eta.default`: required key is missing. "
        "Every method starts from the card's default configuration: give one.",
        "  - `hyperparameters.drop.when.boster`: must name a parameter defined before, got boster. "
        "Did you mean `booster`?",
    ]


def test_names_that_need_a_clone_are_known_and_not_hot():
    assert parse_model_card({**MODEL, "hot": [], "clone": ["eta"]}).clone == ["eta"]
    assert "`etaa` is not a hyperparameter of this card" in lines(parse_model_card, {**MODEL, "clone": ["etaa"]})[1]
    assert "`eta` is in `hot` already" in lines(parse_model_card, {**MODEL, "clone": ["eta"]})[1]


def test_hot_names_must_be_known():
    assert lines(parse_model_card, {**MODEL, "hot": ["etaa"]})[1:] == [
        "  - `hot`: `etaa` is not a hyperparameter of this card, got ['etaa']. Did you mean `eta`?"
    ]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"label_space": {"classes": ["a"]}}, "`classes` needs at least two classes"),
        ({"label_space": {"classes": []}}, "`classes` must not be empty"),
        ({"label_space": {"classes": ["a", "a"]}}, "class names must differ"),
        ({"label_space": {"classes": [1, "1"]}}, "class names must differ"),
        ({"label_space": {"classes": ["a", "b"]}, "load": {"format": "csv"}}, "a table's label column must be known"),
        ({"load": {"format": "sklearn"}}, "`name` must name the bundled set"),
        ({"validation_share": 0}, "greater than 0"),
    ],
)
def test_data_card_rules(change, rule):
    (line,) = lines(parse_data_card, {**DATA, **change})[1:]
    assert rule in line


def test_a_description_of_a_megabyte_is_refused_in_a_short_message():
    for call, card in ((parse_data_card, DATA), (parse_model_card, MODEL)):
        _, line = lines(call, {**card, "description": "x" * 1_000_000})
        assert line.startswith(f"  - `description`: string should have at most {MAX_TEXT} characters, got 'xxx")
        assert len(line) < 300
    assert len(parse_data_card({**DATA, "description": "x" * MAX_TEXT}).description) == MAX_TEXT


def test_control_characters_are_removed():
    text = "a\x1b[31m\x00b\r\n\tc\u202e\u200b\x85é中"
    clean = "a[31mb\n\tcé中"
    assert parse_data_card({**DATA, "description": text}).description == clean
    assert parse_model_card({**MODEL, "description": text}).description == clean
    assert parse_request({"additional": text}).additional == clean


def test_lone_surrogates_cannot_reach_a_card():
    assert parse_data_card({**DATA, "description": "a\ud800b"}).description == "ab"


def test_a_name_of_control_characters_only_is_no_name():
    assert "`name`" in lines(parse_data_card, {**DATA, "name": "\x00\x1b"})[1]


def test_model_card_round_trip(tmp_path):
    card = parse_model_card({**MODEL, "description": "words: 'quoted'\n- 中"})
    path = tmp_path / "card.yaml"
    path.write_text(to_yaml(card), encoding="utf-8")
    again = load_model_card(path)
    assert again == card
    assert (
        again.space.default
        == card.space.default
        == {
            "impute": None,
            "booster": "gbtree",
            "eta": 0.3,
            "depth": 6,
            "tag": "1e-4",
        }
    )


def test_data_card_round_trip(tmp_path):
    card = parse_data_card(
        {
            **DATA,
            "label_space": {"column": "y", "classes": [True, False]},
            "image_shape": [8, 6, 3],
            "columns": [{"name": "1e5", "type": "number", "missing": 0.5}],
            "load": {"format": "csv", "path": str(tmp_path / "x.csv"), "missing": ["", "nan"]},
        }
    )
    path = tmp_path / "card.yaml"
    path.write_text(to_yaml(card), encoding="utf-8")
    assert load_data_card(path) == card


def test_defaults_are_not_written():
    assert set(DATA) == {
        line.split(":")[0] for line in to_yaml(parse_data_card(DATA)).splitlines() if line[0] not in " -"
    }


def test_a_relative_path_is_relative_to_the_card(tmp_path):
    (tmp_path / "card.yaml").write_text(to_yaml(parse_data_card({**DATA, "load": {"format": "csv", "path": "x"}})))
    assert load_data_card(tmp_path / "card.yaml").load.path == str(tmp_path / "x")


def test_the_groups_of_a_model_card_are_one_space():
    card = parse_model_card(MODEL)
    assert list(card.space.parameters) == ["impute", "booster", "eta", "depth", "drop", "tag"]
    assert [card.group_of(n) for n in ("impute", "booster", "tag")] == [
        "data_processing",
        "architecture",
        "hyperparameters",
    ]


def test_request():
    assert parse_request({"constraints": {"memory_mb": 10}}).constraints.stated() == {"memory_mb": 10}
    assert lines(parse_request, {"metrics": ["acuracy"], "constraints": {"memory_mb": -1}})[1:] == [
        "  - `metrics`: unknown metric, got ['acuracy']. Did you mean `accuracy`? "
        "For your own, write `{name: ..., mode: max}`.",
        "  - `constraints.memory_mb`: input should be greater than 0, got -1.",
    ]
    assert parse_request({"metrics": [{"name": "mine", "mode": "min"}]}).metrics[0].mode == "min"


def test_cards_cannot_be_changed():
    for card, kind in ((parse_data_card(DATA), DataCard), (parse_model_card(MODEL), ModelCard)):
        assert isinstance(card, kind)
        with pytest.raises(ValueError, match="frozen"):
            card.name = "other"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("data/*.yaml")), ids=lambda p: p.stem)
def test_shipped_data_cards_load_and_are_written_back(path):
    card = load_data_card(path)
    assert parse_data_card(parse_yaml(to_yaml(card), "card", CardError)) == card


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("models/*.yaml")), ids=lambda p: p.stem)
def test_shipped_model_cards_load_and_are_written_back(path):
    card = load_model_card(path)
    assert card.space.problems(card.space.default) == []
    assert parse_model_card(parse_yaml(to_yaml(card), "card", CardError)) == card
