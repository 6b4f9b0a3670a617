"""Data Cards described from files: the facts, the guesses, and what cannot be described."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from automl_gpt_ray.cards import load_data_card, to_yaml
from automl_gpt_ray.cards.describe import describe_file
from automl_gpt_ray.errors import CardError
from automl_gpt_ray.training.tables import load_table

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
HEADER = "age,city,label\n"
ROWS = "".join(f"{20 + i},{'ab'[i % 2]},{'yes' if i % 3 else 'no'}\n" for i in range(30))


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="people.csv"):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


@pytest.fixture
def write_table(tmp_path):
    def write_file(columns):
        parquet.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=10)
        return tmp_path / "t.parquet"

    return write_file


def shared(name):
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not in shared/data beside the checkout")
    return SHARED / name


def problem(path, **arguments):
    with pytest.raises(CardError) as caught:
        describe_file(path, **arguments)
    assert caught.value.source == str(Path(path).resolve())
    (found,) = caught.value.problems
    return found


@pytest.mark.parametrize("name", ["people.csv", "people.csv.gz"])
def test_a_table(write, name):
    path = write(HEADER + ROWS, name)
    card = describe_file(path)
    assert (card.name, card.task, card.input_type, card.metric) == ("people", "classification", "tabular", "accuracy")
    assert (card.label_space.column, card.label_space.classes) == ("label", ["no", "yes"])
    assert card.size == {"train": 30}
    assert [(c.name, c.type, c.missing, c.distinct) for c in card.columns] == [
        ("age", "number", 0.0, 30),
        ("city", "category", 0.0, 2),
        ("label", "category", 0.0, 2),
    ]
    assert card.label_balance == {"no": 0.333333, "yes": 0.666667}
    assert (card.load.format, card.load.path) == ("csv", str(path))
    assert card.description == (
        "A table of 30 rows and 2 features (1 number, 1 category), "
        "label `label` with 2 classes; 0.0% of values missing."
    )


def test_it_loads_again(write, tmp_path):
    card = describe_file(write(HEADER + ROWS), name="mine: a 'name'")
    (tmp_path / "card.yaml").write_text(to_yaml(card))
    assert load_data_card(tmp_path / "card.yaml") == card


def test_no_header(write):
    card = describe_file(write(ROWS.replace(",", ", ")))
    assert card.load.columns == ["column_1", "column_2", "column_3"]
    assert (card.label_space.column, card.label_space.names, card.size) == ("column_3", ["no", "yes"], {"train": 30})


def test_a_header_over_texts_only(write):
    card = describe_file(write("colour,target\n" + "red,a\nblue,b\n" * 10))
    assert (card.load.columns, card.label_space.column, card.size) == ([], "target", {"train": 20})
    bare = describe_file(write("red,a\nblue,b\n" * 10))
    assert (bare.load.columns, bare.size) == (["column_1", "column_2"], {"train": 20})


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separators_the_trainers_read_too(write, separator):
    card = describe_file(write((HEADER + ROWS).replace(",", separator)))
    assert [c.name for c in card.columns] == ["age", "city", "label"]


def test_missing_values_are_counted_and_said(write):
    card = describe_file(write(HEADER + ROWS + "?,,yes\nNA, ,\n"))
    assert [(c.missing, c.distinct) for c in card.columns] == [(0.0625, 30), (0.0625, 2), (0.03125, 2)]
    assert card.description.endswith("6.2% of values missing; 1 rows have no label and are left out.")
    assert card.size == {"train": 31}


def test_a_separator_at_the_end_of_each_line_makes_no_column(write):
    card = describe_file(write((HEADER + ROWS).replace("\n", ",\n")))
    assert (card.label_space.column, card.load.columns, card.load.drop) == ("label", [], [""])


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_an_index_that_pandas_saved_is_left_out(tmp_path, name):
    frame = pd.DataFrame({"x": [i / 7 for i in range(40)], "label": ["no", "yes"] * 20}).sort_values("label")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv")
    card = describe_file(tmp_path / name)
    assert [column.name for column in card.columns] == ["x", "label"]
    assert card.load.drop == ["" if name == "t.csv" else "__index_level_0__"]
    assert list(load_table(card, ("train",), seed=0)["train"].features) == ["x"]


def test_a_header_that_leaves_a_title_out(write):
    card = describe_file(write("age,,label\n" + "1,a,no\n2,b,yes\n" * 10))
    assert ([column.name for column in card.columns], card.load.columns) == (["age", "label"], [])
    bare = describe_file(write("red,,a\nblue,x,b\n" * 10))
    assert (bare.load.columns, bare.size) == (["column_1", "column_2", "column_3"], {"train": 20})


def test_a_split_column_must_name_the_split_of_every_row(write):
    found = problem(write("x,split,label\n" + "1,train,a\n2,,b\n3,test,a\n" * 10))
    assert (found.field, found.got) == ("column split", "10 rows without one")


def test_names_that_repeat_in_parquet(tmp_path):
    columns = [pa.array(range(20)), pa.array(range(20)), pa.array([0, 1] * 10)]
    parquet.write_table(pa.Table.from_arrays(columns, names=["x", "x", "label"]), tmp_path / "t.parquet")
    assert problem(tmp_path / "t.parquet").rule == "names must differ"


def test_views_of_texts_are_texts(write_table):
    texts = pa.array([f"{'ab'[i % 2]}" for i in range(30)]).cast(pa.string_view())
    card = describe_file(write_table({"kind": texts, "x": range(30), "label": [0, 1] * 15}))
    assert (card.columns[0].type, card.columns[0].distinct) == ("category", 2)
    assert list(load_table(card, ("train",), seed=0)["train"].features) == ["kind", "x"]


def test_short_sentences_are_texts(write):
    card = describe_file(write("said,label\n" + "".join(f"come to my no {i},{i % 2}\n" for i in range(30))))
    assert card.input_type == "text"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_are_numbers_in_description_and_training(write, separator):
    lines = (
        ["x", "price", "kind", "target"],
        *([f"{i},5", f"{i + 1}.234,50", ["a,b", "c"][i % 2], f"-{i},25"] for i in range(30)),
    )
    card = describe_file(write("".join(separator.join(line) + "\n" for line in lines)))
    assert [column.type for column in card.columns] == ["number", "number", "category", "number"]
    assert (card.task, card.load.decimal, card.load.thousands) == ("regression", ",", ".")
    read = load_table(card, ("train", "validation", "test"), seed=0)
    found = pd.concat([table.features.assign(target=table.labels) for table in read.values()]).sort_values("x")
    assert found["x"].tolist() == [i + 0.5 for i in range(30)]
    assert found["price"].tolist() == [(i + 1) * 1000 + 234.5 for i in range(30)]
    assert found["target"].tolist() == [-i - 0.25 for i in range(30)]
    assert set(found["kind"]) == {"a,b", "c"}


def test_quoted_thousands_are_numbers_and_a_list_between_commas_is_not(write):
    rows = "".join(f'"{i + 1},000","{i},{i + 1}",{"yn"[i % 2]}\n' for i in range(30))
    card = describe_file(write("price,pair,label\n" + rows))
    assert [column.type for column in card.columns] == ["number", "category", "category"]
    assert (card.load.decimal, card.load.thousands) == (".", ",")
    undeclared = card.model_copy(update={"columns": []})
    for one in (card, undeclared):
        assert load_table(one, ("train",), seed=0)["train"].features["price"].min() >= 1000


def test_half_precision_numbers(write_table):
    card = describe_file(write_table({"x": np.arange(20, dtype="float16"), "label": ["a", "b"] * 10}))
    assert card.columns[0].type == "number"
    assert load_table(card, ("train",), seed=0)["train"].features["x"].max() > 1


def test_quoted_fields_hold_separators_and_line_breaks(write):
    card = describe_file(write("text,label\n" + '"a, b\nc",1\n"d ""e""",0\n' * 20))
    assert (card.size, card.label_space.classes) == ({"train": 40}, [0, 1])


def test_long_texts_are_text(write):
    rows = "".join(
        f"message number {i} is about something quite long,{'ham' if i % 2 else 'spam'}\n" for i in range(20)
    )
    card = describe_file(write("message,label\n" + rows))
    assert (card.input_type, card.columns[0].type) == ("text", "text")


def test_dates_booleans_and_numbers(write):
    rows = "".join(f"2020-01-{i + 1:02d},{i % 2 == 0},{i}e-3,0{i}x\n" for i in range(20))
    card = describe_file(write("day,flag,amount,code\n" + rows), label="flag")
    assert [c.type for c in card.columns] == ["date", "number", "category", "boolean"]
    assert card.label_space.names == ["False", "True"]


def test_a_saved_index_is_dropped(write):
    rows = "".join(f"{i},{i / 7},{i % 2}\n" for i in range(20))
    card = describe_file(write(",x,y\n" + rows))
    assert (card.load.drop, [c.name for c in card.columns]) == ([""], ["x", "y"])


def test_columns_that_cannot_help_are_left_out_and_said(write):
    rows = "".join(f"c{i},{i + 9},eu,,{i % 3},{i / 7},{i % 2}\n" for i in range(20))
    card = describe_file(write("who,order_id,region,none,few,x,y\n" + rows))
    assert card.load.drop == ["who", "order_id", "region", "none"]
    assert card.description.endswith("different in each: `who`, `order_id`, `region`, `none`.")
    assert [c.name for c in card.columns] == ["who", "order_id", "region", "none", "few", "x", "y"]
    only = describe_file(write("who,y\n" + "".join(f"c{i},{i % 2}\n" for i in range(20))))
    assert only.load.drop == []
    few = describe_file(write("who,x,y\n" + "".join(f"c{i},{i % 5},{i % 2}\n" for i in range(19))))
    assert few.load.drop == []


def test_a_split_column_gives_the_sizes(write):
    rows = "".join(f"{i},{i % 2},{'test' if i % 4 == 0 else 'train'}\n" for i in range(40))
    card = describe_file(write("x,y,split\n" + rows))
    assert (card.size, card.load.split_column) == ({"test": 10, "train": 30}, "split")
    assert [c.name for c in card.columns] == ["x", "y"]
    other = describe_file(write("x,y,split\n" + rows.replace("test", "left").replace("train", "right")))
    assert (other.load.split_column, other.size) == (None, {"train": 40})


@pytest.mark.parametrize(
    ("labels", "task", "metric", "classes"),
    [
        ([i % 3 for i in range(60)], "classification", "accuracy", [0, 1, 2]),
        ([i % 20 for i in range(60)], "classification", "accuracy", list(range(20))),
        ([i % 21 for i in range(60)], "regression", "rmse", []),
        ([i / 7 for i in range(60)], "regression", "rmse", []),
        ([int(i < 3) for i in range(60)], "classification", "roc_auc", [0, 1]),
        ([int(i < 6) for i in range(60)], "classification", "accuracy", [0, 1]),
        ([min(i, 2) for i in range(60)], "classification", "balanced_accuracy", [0, 1, 2]),
        (["01", "1", "2"] * 20, "classification", "accuracy", ["01", "1", "2"]),
        (["1.0", "0.0"] * 30, "classification", "accuracy", [0, 1]),  # what pandas makes of 1, 0 and a gap
        (["1.0", "0.5"] * 30, "regression", "rmse", []),
        (["1.0", "2", "01"] * 20, "classification", "accuracy", ["01", "1.0", "2"]),
        ([-1, 1, 10] * 20, "classification", "accuracy", [-1, 1, 10]),
    ],
)
def test_task_metric_and_classes(write, labels, task, metric, classes):
    card = describe_file(write("x,label\n" + "".join(f"{i}.5,{y}\n" for i, y in enumerate(labels))))
    assert (card.task, card.metric, card.label_space.classes) == (task, metric, classes)


def test_the_label_given_wins_over_the_guess(write):
    assert describe_file(write(HEADER + ROWS), label="city").label_space.classes == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "label"),
    [("y,x,income", "y"), ("Target,x,z", "Target"), ("x,label,target", "label"), ("x,z,price", "price")],
)
def test_guessed_label(write, header, label):
    rows = "".join(f"{i % 2},{i % 2},{i % 2}\n" for i in range(10))
    assert describe_file(write(header + "\n" + rows)).label_space.column == label


def test_parquet(write_table):
    path = write_table(
        {
            "x": pa.array([None, float("nan"), *[i / 3 for i in range(28)]]),
            "kind": pa.array(["a", "b", None] * 10).dictionary_encode(),
            "when": pa.array(range(30), pa.timestamp("s")),
            "nested": pa.array([[1], None] * 15),
            "nothing": pa.nulls(30),
            "digits": pa.array([str(i) for i in range(30)]),
            "class": pa.array([True, False] * 15),
        }
    )
    card = describe_file(path)
    assert [(c.name, c.type, c.missing, c.distinct) for c in card.columns] == [
        ("x", "number", 0.066667, 28),
        ("kind", "category", 0.333333, 2),
        ("when", "date", 0.0, 30),
        ("nested", "other", 0.5, None),
        ("nothing", "other", 1.0, None),
        ("digits", "category", 0.0, 30),
        ("class", "boolean", 0.0, 2),
    ]
    assert (card.label_space.classes, card.load.format) == ([False, True], "parquet")


def png(height, width, mode="RGB"):
    image = pytest.importorskip("PIL.Image")
    buffer = io.BytesIO()
    image.new(mode, (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("struct", [False, True])
def test_images(write_table, struct):
    data = [png(8, 6)] * 20
    images = [{"bytes": d, "path": "x.png"} for d in data] if struct else data
    card = describe_file(write_table({"image": images, "label": [i % 2 for i in range(20)]}))
    assert (card.input_type, card.image_shape, card.load.image_column) == ("image", (8, 6, 3), "image")
    assert (card.columns, card.label_space.classes) == ([], [0, 1])


def test_images_of_several_shapes_have_none(write_table):
    data = [png(8, 6), png(8, 6, "L")] * 10
    assert describe_file(write_table({"image": data, "label": [0, 1] * 10})).image_shape is None


def test_bytes_that_are_no_images_are_a_column_of_another_kind(write_table):
    card = describe_file(write_table({"blob": [b"abc"] * 10, "x": range(10), "label": [0, 1] * 5}))
    assert (card.input_type, card.columns[0].type) == ("tabular", "other")


@pytest.mark.parametrize(
    ("content", "field", "rule"),
    [
        ("", "(file)", "must hold rows"),
        (HEADER, "(file)", "must hold rows"),
        ("x" * 200_000 + "\n1\n", "(file)", "must be CSV"),
        ("a\n1\n2\n", "columns", "a label and at least one other column are needed"),
        ("x,label\n1,\n2,?\n", "label column label", "must have values"),
        ("x,label\n1,a\n2,a\n", "label column label", "needs at least two different values"),
        ("x,label\n" + "".join(f"{i},t{i}\n" for i in range(20)), "label column label", "must hold classes or numbers"),
        ("x,label\n" + "1,2020-01-01\n2,2020-01-02\n", "label column label", "must hold classes or numbers"),
        ("x,label\n1,a\n2,b,c\n", "(file)", "must be a table of rows of equal length"),
        ("x,x,label\n1,2,a\n2,3,b\n", "columns", "names must differ"),
        (b"x,label\n\xff,a\n", "(file)", "must be UTF-8 text"),
        (b"\x00\x01\x02\x03", "(file)", "must be a CSV or parquet file"),
        (b"PAR1 and no more", "(file)", "must be a readable parquet file"),
        (b"\x1f\x8b broken", "(file)", "must be UTF-8 text"),
    ],
)
def test_what_cannot_be_described(write, content, field, rule):
    found = problem(write(content))
    assert (found.field, found.rule) == (field, rule)
    assert found.remedy
    assert len(str(found)) < 500


def test_a_file_that_is_not_there(tmp_path):
    found = problem(tmp_path / "no.csv")
    assert (found.got, found.remedy) == ("No such file or directory", "check the path")


def test_a_label_that_is_not_there(write):
    found = problem(write(HEADER + ROWS), label="labl")
    assert (found.field, found.rule, found.remedy) == ("label", "must name a column", "did you mean `label`?")


def test_a_wide_table(write):
    names = [f"a_long_column_name_{i:05d}" for i in range(4_000)]
    rows = "".join(f"{'1.5,' * 4_000}{i % 2}\n" for i in range(10))
    card = describe_file(write(",".join(names) + ",label\n" + rows))
    assert (len(card.columns), card.load.columns, card.size) == (4_001, [], {"train": 10})


def test_a_late_surprise_in_a_column_is_seen(write):
    card = describe_file(write("x,label\n" + "1,0\n2,1\n" * 500_000 + "oops,1\n"))
    assert (card.columns[0].type, card.columns[0].distinct, card.size) == ("category", 3, {"train": 1_000_001})


@pytest.mark.shared
def test_adult():
    card = describe_file(shared("adult/adult.csv.gz"))
    assert (card.task, card.metric, card.size) == ("classification", "accuracy", {"train": 32561, "test": 16281})
    assert (card.label_space.column, card.label_space.classes) == ("income", ["<=50K", ">50K"])
    assert card.label_balance[">50K"] == pytest.approx(11_687 / 48_842, abs=1e-6)
    assert sum(round(c.missing * 48_842) for c in card.columns) == 6_465
    assert [c.type for c in card.columns].count("number") == 6


@pytest.mark.shared
def test_adult_as_published_without_a_header():
    card = describe_file(shared("adult/adult.data.gz"))
    assert (card.size, card.label_space.names, len(card.load.columns)) == ({"train": 32561}, ["<=50K", ">50K"], 15)


@pytest.mark.shared
def test_cifar10():
    card = describe_file(shared("cifar10_sample/train.parquet"))
    assert (card.input_type, card.image_shape, card.load.image_column) == ("image", (32, 32, 3), "image")
    assert (card.label_space.classes, card.size) == (list(range(10)), {"train": 10_000})
    assert set(card.label_balance.values()) == {0.1}
