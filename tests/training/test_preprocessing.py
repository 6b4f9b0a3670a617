import json

import numpy as np
import pandas as pd
import pytest

from automl_gpt_ray.errors import DataError, SpaceError
from automl_gpt_ray.training.preprocessing import CHOICES, Preprocessor

TRAIN = pd.DataFrame(
    {
        "n": [1.0, 2.0, np.nan, 10.0, 2.0],
        "c": pd.Categorical(["a", "b", "b", None, "b"]),
        "empty": [np.nan] * 5,
    }
)
NEW = pd.DataFrame({"n": [np.nan, 4.0], "c": pd.Categorical(["zebra", "a"]), "empty": [1.0, 2.0]})


def applied(config, frame=NEW):
    return Preprocessor.fit(TRAIN, config).apply(frame)


def test_native_keeps_what_is_missing_and_forgets_unknown_categories():
    matrix, types = applied({})
    assert types == ["q", "c"]
    np.testing.assert_array_equal(matrix, np.array([[np.nan, np.nan], [4, 0]], dtype=np.float32))


def test_imputation_uses_training_values_only():
    median, _ = applied({"imputation": "median"})
    assert median[0, 0] == 2.0
    frequent, _ = applied({"imputation": "most_frequent"}, TRAIN)
    assert frequent[2, 0] == 2.0
    assert frequent[3, 1] == 1.0


def test_indicators_tell_where_values_were_missing():
    matrix, types = applied({"imputation": "median_indicator"}, TRAIN)
    assert types == ["q", "q", "c", "q"]
    assert matrix[:, 1].tolist() == [0, 0, 1, 0, 0]
    assert matrix[:, 3].tolist() == [0, 0, 0, 1, 0]


def test_encodings():
    assert applied({"encoding": "ordinal"})[1] == ["q", "q"]
    assert applied({"encoding": "onehot"})[0][:, 1:].tolist() == [[0, 0], [1, 0]]
    assert applied({"encoding": "frequency"})[0][:, 1].tolist() == pytest.approx([0.0, 0.2])


def test_categories_that_training_lacks_are_filled_where_a_code_is_all_there_is():
    train = pd.DataFrame({"c": pd.Categorical(["b", "b", "a"])})
    new = pd.DataFrame({"c": pd.Categorical(["a", "unseen", None])})
    for imputation, codes in (("median", [0, 1, 1]), ("native", [0, np.nan, np.nan])):
        fitted = Preprocessor.fit(train, {"encoding": "ordinal", "imputation": imputation})
        np.testing.assert_array_equal(fitted.apply(new)[0][:, 0], codes)
    onehot = Preprocessor.fit(train, {"encoding": "onehot", "imputation": "median"}).apply(new)[0]
    assert onehot.tolist() == [[1, 0], [0, 0], [0, 1]]


def test_dates_and_ids_are_told_apart():
    train = pd.DataFrame({"when": 1.7e9 + np.arange(100.0), "id": 8e9 + np.arange(100.0)})
    matrix, _ = Preprocessor.fit(train, {}).apply(train)
    assert [len(np.unique(column)) for column in matrix.T] == [100, 100]


def test_scalings():
    standard, _ = applied({"scaling": "standard", "imputation": "median"}, TRAIN)
    values = np.array([1.0, 2.0, 10.0, 2.0])
    np.testing.assert_allclose(standard[[0, 1, 3, 4], 0], (values - values.mean()) / values.std(), rtol=1e-6)
    ranks, _ = applied({"scaling": "quantile"}, TRAIN)
    assert ranks[0, 0] == 0.0
    assert ranks[3, 0] == 1.0
    assert np.isnan(ranks[2, 0])


def test_every_choice_survives_json_and_gives_the_same_numbers():
    for name, known in CHOICES.items():
        for value in known:
            fitted = Preprocessor.fit(TRAIN, {name: value})
            again = Preprocessor.from_json(json.loads(json.dumps(fitted.to_json(), allow_nan=False)))
            np.testing.assert_array_equal(again.apply(NEW)[0], fitted.apply(NEW)[0])


def test_bad_choices_and_empty_columns():
    with pytest.raises(SpaceError, match="scaling"):
        Preprocessor.fit(TRAIN, {"scaling": "log"})
    with pytest.raises(DataError, match="at least one column must hold values"):
        Preprocessor.fit(TRAIN[["empty"]], {})
