import numpy as np
import pytest

from automl_gpt_ray.training import labels, splits
from training.small import card_of


def test_labels_are_read_by_name_by_number_and_by_index():
    digits = card_of(label_space={"classes": [3, 5]})
    assert labels.encode(["5", 3, 5.0], digits, "y")[0].tolist() == [1, 0, 1]
    assert labels.encode([0, 1.0, "yes", " NO "], card_of(), "y")[0].tolist() == [0, 1, 1, 0]
    assert labels.encode([True, False], card_of(label_space={"classes": [False, True]}), "y")[0].tolist() == [1, 0]


def test_blanks_may_belong_to_a_label():
    card = card_of(label_space={"classes": [" a ", "b"]})
    assert labels.encode([" a ", "b"], card, "y")[0].tolist() == [0, 1]


def test_stripped_ends_belong_to_no_label():
    card = card_of(load={"format": "csv", "path": "x", "label_strip": "."})
    assert labels.encode(["yes.", "no"], card, "y")[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["yes", None], "must have a label"),
        (["yes", "mabye"], "'mabye'"),
        ([0, 2], "must be among the card's 2 classes"),
    ],
)
def test_bad_labels_are_named(values, expected):
    _, problems = labels.encode(values, card_of(), "train.label")
    assert len(problems) == 1
    assert expected in str(problems[0])


def test_an_index_is_no_label_where_the_classes_are_numbers():
    _, problems = labels.encode([0, 5], card_of(label_space={"classes": [3, 5]}), "y")
    assert problems


def test_targets_must_be_finite_numbers():
    card = card_of(task="regression", metric="rmse", label_space={"column": "label"})
    assert labels.encode(["1.5", 2], card, "y")[0].tolist() == [1.5, 2.0]
    assert "must be numbers" in str(labels.encode(["1.5", "many"], card, "y")[1][0])
    assert "must be finite" in str(labels.encode([1.0, float("inf")], card, "y")[1][0])
    assert "squares overflow, got -1e+300" in str(labels.encode([1.0, -1e300], card, "y")[1][0])


def test_one_class_is_a_problem():
    assert "only 'yes'" in str(labels.one_class(np.array([1, 1]), card_of(), "y")[0])
    assert not labels.one_class(np.array([0, 1]), card_of(), "y")


def test_hold_outs_are_disjoint_stratified_and_the_same_for_a_seed():
    found = np.repeat([0, 1], [900, 100])
    first = splits.shared_out(card_of(), found, {"train"}, seed=3)
    again = splits.shared_out(card_of(), found, {"train"}, seed=3)
    other = splits.shared_out(card_of(), found, {"train"}, seed=4)
    assert sorted(np.concatenate(list(first.values()))) == list(range(1000))
    assert {split: len(rows) for split, rows in first.items()} == {"test": 200, "validation": 160, "train": 640}
    assert found[first["test"]].mean() == pytest.approx(0.1, abs=0.01)
    assert all((first[split] == again[split]).all() for split in first)
    assert (first["test"] != other["test"]).any()


def test_official_splits_take_nothing_from_training():
    found = np.repeat([0, 1], 50)
    assert set(splits.shared_out(card_of(), found, {"train", "test"}, seed=0)) == {"validation", "train"}


def test_a_split_without_examples_is_refused():
    with pytest.raises(splits.DataError, match="at least one example"):
        splits.shared_out(card_of(), np.array([0, 1]), {"train"}, seed=0)
