import gzip
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_gpt_ray.cards import Column, load_data_card
from automl_gpt_ray.errors import DataError
from automl_gpt_ray.training.data_check import check_data
from automl_gpt_ray.training.tables import load_table
from training.small import card_of

ALL = ("train", "validation", "test")


def write(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_single_file_is_shared_out(table_card):
    tables = load_table(table_card, ALL, seed=0)
    assert {split: len(table.labels) for split, table in tables.items()} == {"train": 154, "validation": 38, "test": 48}
    frame = tables["train"].features
    assert list(frame.columns) == ["size", "colour", "noise"]
    assert frame["size"].dtype == np.float64
    assert frame["size"].isna().any()
    assert set(frame["colour"].cat.categories) == {"red", "green", "blue"}
    assert frame["colour"].isna().any()


def test_headerless_files_with_comments_blanks_and_gz(tmp_path):
    (tmp_path / "a.data.gz").write_bytes(gzip.compress(b"1, red, no\n2, ?, yes\n3, blue, no\n" * 10))
    write(tmp_path, "a.test", "|a comment\n1, red, no.\n2, violet, yes.\n\n")
    load = {
        "format": "csv",
        "path": str(tmp_path),
        "files": {"train": "a.data", "test": "a.test"},
        "columns": ["n", "colour", "label"],
        "comment": "|",
        "label_strip": ".",
    }
    tables = load_table(card_of(load=load), ALL, seed=0)
    assert tables["test"].labels.tolist() == [0, 1]
    assert tables["test"].features["colour"].tolist() == ["red", "violet"]
    assert tables["train"].features["colour"].cat.categories.tolist() == ["red", "blue"]


def test_numbers_that_look_like_text_elsewhere_stay_what_training_made_them(tmp_path):
    write(tmp_path, "train.csv", "code,label\n" + "a1,no\n2,yes\n" * 10)
    write(tmp_path, "test.csv", "code,label\n2,no\n2,yes\n")
    tables = load_table(card_of(load={"format": "csv", "path": str(tmp_path)}), ALL, seed=0)
    assert tables["test"].features["code"].tolist() == ["2", "2"]


def test_a_column_names_the_split(tmp_path):
    rows = "1,no,train\n2,yes,train\n3,no,test\n" * 8
    path = write(tmp_path, "one.csv", "n,label,split\n" + rows)
    card = card_of(load={"format": "csv", "path": str(path), "split_column": "split"})
    tables = load_table(card, ALL, seed=0)
    assert tables["test"].features["n"].unique().tolist() == [3.0]
    assert list(tables["train"].features.columns) == ["n"]


def test_parquet_with_dates_booleans_and_lists(tmp_path):
    frame = pd.DataFrame(
        {
            "when": pd.date_range("1970-01-02", periods=20),
            "flag": [True, False] * 10,
            "many": [[1, 2]] * 20,
            "level": pd.Categorical(["x", "y"] * 10),
            "label": [0, 1] * 10,
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    card = card_of(load={"format": "parquet", "path": str(tmp_path / "t.parquet")})
    found = load_table(card, ("train",), seed=0)["train"].features
    assert list(found.columns) == ["when", "flag", "level"]
    assert found["when"].min() >= 86400.0
    assert set(found["flag"]) == {0.0, 1.0}


def test_infinity_reads_as_missing(tmp_path):
    path = write(tmp_path, "t.csv", "n,label\n" + "inf,no\n1,yes\n" * 10)
    found = load_table(card_of(load={"format": "csv", "path": str(path)}), ("train",), seed=0)["train"].features
    assert found["n"].isna().mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n,other\n1,no\n2,yes\n", "the label column must exist"),
        ("n,label\n1,no\n2,maybe\n", "'maybe'"),
        ("n,label\n1,no\n2,no\n", "at least two classes"),
        ("n,label\n1,\n2,\n", "at least one example with a label"),
        ("n,label\n1,no\n2,yes,3\n", "must be a readable table"),
        ("n,n,label\n1,1,no\n2,2,yes\n", "column names must differ"),
        ("label\nno\nyes\n", "at least one column besides the label"),
        ("n,label\n", "at least one example"),
        ("", "must be a readable table"),
        ("n,label\n\x00\xff", "must be a readable table|label column|readable"),
    ],
)
def test_bad_tables_give_a_data_error(tmp_path, text, expected):
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=expected):
        check_data(card_of(load={"format": "csv", "path": str(path)}))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_rows_without_a_label_are_left_out_and_counted(tmp_path, caplog, name):
    frame = pd.DataFrame({"n": range(40), "label": ["no", "yes", None, "yes"] * 10})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    card = card_of(load={"format": name.split(".")[1], "path": str(tmp_path / name)})
    found = load_table(card, ("train", "validation", "test"), seed=0)
    assert not {n for table in found.values() for n in table.features["n"]} & set(range(2, 40, 4))
    assert sum(len(table.labels) for table in found.values()) == 30
    assert "10 of 40 rows of `train` have no label: skipped" in caplog.text


def test_a_broken_parquet_file_and_a_broken_gzip_file(tmp_path):
    for name, form in (("t.parquet", "parquet"), ("t.csv.gz", "csv")):
        (tmp_path / name).write_bytes(b"PAR1 no such thing")
        with pytest.raises(DataError, match="must be a readable table"):
            check_data(card_of(load={"format": form, "path": str(tmp_path / name)}))


def test_a_split_that_lacks_a_column_or_holds_text_for_numbers(tmp_path):
    write(tmp_path, "train.csv", "n,m,label\n" + "1,2,no\n2,3,yes\n" * 5)
    card = card_of(load={"format": "csv", "path": str(tmp_path)})
    write(tmp_path, "test.csv", "m,label\n2,no\n3,yes\n")
    with pytest.raises(DataError, match=r"`test.n`.*must be in every split"):
        check_data(card)
    write(tmp_path, "test.csv", "n,m,label\nmany,2,no\n3,3,yes\n")
    with pytest.raises(DataError, match="must be a readable table"):
        check_data(card)


@pytest.mark.parametrize("listed", [False, True])
def test_the_index_that_pandas_saves_is_no_feature_unless_the_card_lists_it(tmp_path, listed):
    frame = pd.DataFrame({"n": range(40), "label": ["no", "yes"] * 20}).sort_values("label")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv")
    for name, index in (("t.parquet", "__index_level_0__"), ("t.csv", "")):
        columns = [{"name": index, "type": "number"}] if listed else []
        card = card_of(load={"format": name.split(".")[1], "path": str(tmp_path / name)}, columns=columns)
        assert sorted(load_table(card, ("train",), seed=0)["train"].features) == sorted([index, "n"][not listed :])


@pytest.mark.parametrize(("given", "got"), [({"drop": ["colr"]}, "load.drop"), ({}, "columns")])
def test_a_column_that_the_card_names_and_the_file_lacks_is_an_error(table_card, given, got):
    load = table_card.load.model_copy(update=given)
    columns = [] if given else [Column(name="colr", type="category")]
    with pytest.raises(DataError, match=rf"`{got}`.*'colr'. Did you mean `colour`"):
        check_data(table_card.model_copy(update={"load": load, "columns": columns}))


def test_a_wide_table_is_read_in_time_that_grows_with_its_columns(tmp_path):
    pd.DataFrame({**{f"c{i}": [0.0, 1.0] * 5 for i in range(5_000)}, "label": ["no", "yes"] * 5}).to_parquet(
        tmp_path / "t.parquet"
    )
    began = time.process_time()
    load_table(card_of(load={"format": "parquet", "path": str(tmp_path / "t.parquet")}), ("train",), seed=0)
    assert time.process_time() - began < 8


def test_missing_values_may_be_padded(tmp_path):
    path = write(tmp_path, "t.csv", "n,label\n" + "1,  no\n   NA   ,yes\n3, nan  \n2,yes\n" * 5)
    table = load_table(card_of(load={"format": "csv", "path": str(path)}, test_share=0.0), ("train",), seed=0)["train"]
    assert table.features["n"].dtype == np.float64
    assert set(table.labels) == {0, 1}


def test_files_are_recognised_by_their_content(tmp_path):
    frame = pd.DataFrame({"n": range(40), "label": ["no", "yes"] * 20})
    frame.to_parquet(tmp_path / "t.dat")
    (tmp_path / "t.csv").write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    (tmp_path / "t.csv.gz").write_bytes(frame.to_csv(index=False).encode())
    for name, form in (("t.dat", "parquet"), ("t.csv", "csv"), ("t.csv.gz", "csv")):
        assert sum(check_data(card_of(load={"format": form, "path": str(tmp_path / name)})).values()) == 40


@pytest.mark.parametrize("text", ["n,city,label\n1,Köln,no\n2,Bonn,yes\n", "größe,label\n1,no\n2,yes\n"])
def test_a_table_that_is_not_utf_8_is_refused(tmp_path, text):
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="must be a readable table"):
        check_data(card_of(load={"format": "csv", "path": str(tmp_path / "t.csv")}))


def test_numbers_beyond_32_bits_read_as_missing(tmp_path):
    path = write(tmp_path, "t.csv", "n,label\n" + "1e39,no\n1e38,yes\n-1e300,no\n" * 5)
    found = load_table(card_of(load={"format": "csv", "path": str(path)}), ("train",), seed=0)["train"].features
    assert found["n"].dropna().unique().tolist() == [1e38]


def test_a_class_may_be_called_na(tmp_path):
    path = write(tmp_path, "t.csv", "n,city,label\n" + "1,NA,NA\nNA,x,EU\n2,y,\n3,y,US\n" * 9)
    told = {"column": "label", "classes": ["NA", "EU", "US"]}
    card = card_of(load={"format": "csv", "path": str(path)}, label_space=told)
    found = load_table(card, ("train", "validation", "test"), seed=0).values()
    assert np.bincount(np.concatenate([split.labels for split in found])).tolist() == [9, 9, 9]
    features = pd.concat([split.features for split in found])
    assert (features["n"].isna().sum(), features["city"].isna().sum()) == (9, 9)


def test_a_missing_path_names_the_remedy(tmp_path):
    with pytest.raises(DataError, match=r"data\.path"):
        check_data(card_of(load={"format": "csv", "path": str(tmp_path / "nowhere")}))


def test_check_counts_what_each_split_gets(table_card, tmp_path):
    assert check_data(table_card) == {"train": 154, "validation": 38, "test": 48}
    assert check_data(table_card.model_copy(update={"test_share": 0.0})) == {"train": 192, "validation": 48}
    custom = card_of(load={"format": "custom"}, size={"train": 7})
    assert check_data(custom) == {"train": 7}


@pytest.mark.parametrize(
    ("metric", "train", "validation"),
    [("roc_auc", ["no", "yes"], "no"), ("average_precision", ["no", "yes"], "no"), ("r2", ["1", "2"], "3")],
)
def test_a_metric_without_a_value_on_the_validation_data_is_an_error(tmp_path, metric, train, validation):
    rows = [(label, "train") for label in train * 10] + [(validation, "validation")] * 2
    lines = "".join(f"{i},{label},{split}\n" for i, (label, split) in enumerate(rows))
    path = write(tmp_path, "t.csv", "n,label,split\n" + lines)
    target = metric == "r2"
    card = card_of(
        load={"format": "csv", "path": str(path), "split_column": "split"},
        task="regression" if target else "classification",
        label_space={"column": "label", **({} if target else {"classes": train})},
        metric=metric,
    )
    assert check_data(card, metric="rmse" if target else "accuracy")["validation"] == 2
    with pytest.raises(DataError, match=f"`{metric}` must have a value"):
        check_data(card, metric=metric)


@pytest.mark.shared
def test_adult_has_its_official_sizes_and_md5(shared_data):
    card = load_data_card(Path(__file__).resolve().parents[2] / "configs/cards/data/adult.yaml")
    load = card.load.model_copy(update={"path": str(shared_data / "adult")})
    assert check_data(card.model_copy(update={"load": load})) == {"train": 26049, "validation": 6512, "test": 16281}


def test_the_check_imports_no_model_library():
    code = (
        "import sys; import automl_gpt_ray.training.data_check, automl_gpt_ray.training.tables; "
        "import automl_gpt_ray.training.images; "
        "print([m for m in ('torch', 'xgboost', 'transformers', 'ray') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
