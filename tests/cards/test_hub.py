"""Hub READMEs: the facts in their front matter, and front matter that is hostile."""

from __future__ import annotations

import pytest

from automl_gpt_ray.cards import (
    data_card_from_hub,
    model_card_from_hub,
    model_facts_from_hub,
    parse_model_card,
    read_hub_card,
)
from automl_gpt_ray.cards.hub_readme import MAX_DESCRIPTION, MAX_FILE
from automl_gpt_ray.errors import CardError

MODEL = """---
language: [en, de]
license: apache-2.0
tags:
- vision
pipeline_tag: image-classification
library_name: transformers
base_model: google/vit-base-patch16-224-in21k
datasets: [cifar10]
metrics: [accuracy]
model-index:
- name: vit-cifar10
  results:
  - task: {type: image-classification}
    dataset: {name: CIFAR-10, type: cifar10}
    metrics:
    - {type: accuracy, value: 0.985}
    - {type: f1, value: "0.98"}
---
<!-- generated -->
# ViT on CIFAR-10

![badge](https://example.org/x.png)

```python
print("not prose")
```

A vision transformer,
fine-tuned on CIFAR-10.

More words.
"""
DATA = """---
pretty_name: Fashion MNIST
license: [mit]
task_categories: [image-classification]
size_categories: [10K<n<100K]
dataset_info:
  features:
  - {name: image, dtype: image}
  - name: label
    dtype:
      class_label:
        names: {'10': Boot, '0': Top, '1': Trouser}
  splits:
  - {name: train, num_bytes: 1, num_examples: 60000}
  - {name: test, num_bytes: 1, num_examples: 10000}
---
Articles of clothing.
"""
TEMPLATE = parse_model_card(
    {
        "name": "template",
        "structure": "ViT",
        "tasks": ["classification"],
        "input_types": ["image"],
        "hyperparameters": {"lr": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True, "default": 1e-4}},
        "trainable": "a.b:c",
    }
)


@pytest.fixture
def readme(tmp_path):
    def write(text):
        path = tmp_path / "README.md"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def problem(call, *args):
    with pytest.raises(CardError) as caught:
        call(*args)
    (found,) = caught.value.problems
    return found


def test_model(readme):
    card = read_hub_card(readme(MODEL))
    assert (card.title, card.license, card.language) == ("vit-cifar10", "apache-2.0", ["en", "de"])
    assert (card.tasks, card.tags, card.library_name) == (["image-classification"], ["vision"], "transformers")
    assert (card.base_model, card.datasets) == (["google/vit-base-patch16-224-in21k"], ["cifar10"])
    assert card.description == "A vision transformer, fine-tuned on CIFAR-10."
    assert [(r.dataset, r.metric, r.value) for r in card.results] == [
        ("CIFAR-10", "accuracy", 0.985),
        ("CIFAR-10", "f1", "0.98"),
    ]


def test_windows_line_ends_and_a_byte_order_mark(readme):
    card = read_hub_card(readme(b"\xef\xbb\xbf" + MODEL.replace("\n", "\r\n").encode()))
    assert (card.title, card.description) == ("vit-cifar10", "A vision transformer, fine-tuned on CIFAR-10.")


def test_data_set(readme):
    card = data_card_from_hub(readme(DATA))
    assert (card.name, card.task, card.input_type, card.metric) == (
        "Fashion MNIST",
        "classification",
        "image",
        "accuracy",
    )
    assert card.label_space.classes == ["Top", "Trouser", "Boot"]
    assert (card.label_space.column, card.size) == ("label", {"train": 60000, "test": 10000})
    assert (card.licence, card.description, card.load) == ("mit", "Articles of clothing.", None)


def test_several_configurations_take_the_first(readme):
    text = DATA.replace("dataset_info:\n", "dataset_info:\n- config_name: a\n").replace(
        "\n  - {name: test", "\n  - {name: test"
    )
    card = read_hub_card(readme(text))
    assert card.splits == {"train": 60000, "test": 10000}


def test_model_facts(readme):
    facts = model_facts_from_hub(readme(MODEL))
    assert (facts["name"], facts["tasks"], facts["input_types"]) == ("vit-cifar10", ["classification"], ["image"])
    assert facts["licence"] == "apache-2.0"
    assert set(model_facts_from_hub(readme("---\ntags: [x]\n---\n"))) == {"source"}


def test_model_card_over_a_template(readme):
    card = model_card_from_hub(readme(MODEL), TEMPLATE)
    assert (card.name, card.licence) == ("vit-cifar10", "apache-2.0")
    assert card.description.startswith("A vision transformer")
    assert (card.space, card.trainable, card.structure) == (TEMPLATE.space, TEMPLATE.trainable, TEMPLATE.structure)


def test_a_template_for_another_task_is_refused(readme):
    found = problem(model_card_from_hub, readme(MODEL.replace("image-classification", "object-detection")), TEMPLATE)
    assert (found.field, found.got, found.remedy) == ("pipeline_tag", "object_detection", "use another template")


def test_unknown_tasks_are_told(readme):
    found = problem(data_card_from_hub, readme(DATA.replace("image-classification", "text-to-speech")))
    assert (found.field, found.got) == ("task_categories", "text-to-speech")


def test_a_classification_set_without_class_names_is_no_data_card(readme):
    text = DATA.replace("names: {'10': Boot, '0': Top, '1': Trouser}", "names: {}")
    assert problem(data_card_from_hub, readme(text)).rule == "`classes` must not be empty"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("# No front matter\n", "must begin with front matter"),
        ("---\na: 1\n", "must begin with front matter"),
        ("---\na: [1\n---\n", "must be valid YAML"),
        ("---\n- 1\n---\n", "must be a mapping of keys to values"),
        ("---\na: !!python/object/apply:os.getcwd []\n---\n", "must be valid YAML"),
        (b"---\na: \xff\n---\n", "must be a readable text file"),
        ("---\na: 1\n---\n" + "x" * MAX_FILE, "must hold at most 1,048,576 bytes"),
    ],
)
def test_malformed(readme, text, rule):
    assert problem(read_hub_card, readme(text)).rule == rule


def test_no_such_file(tmp_path):
    assert problem(read_hub_card, tmp_path / "README.md").got == "No such file or directory"


@pytest.mark.parametrize("key", ["tags", "model-index", "dataset_info", "task_categories", "license", "pretty_name"])
@pytest.mark.parametrize(
    "value", ["null", "{a: [1]}", "[[1], {b: 2}, null]", "'x'", "-.inf", "{features: 3, splits: x}"]
)
def test_values_of_any_shape_are_taken_or_left(readme, key, value):
    card = read_hub_card(readme(f"---\n{key}: {value}\n---\n"))
    assert card.features == card.splits == {}


@pytest.mark.timeout(20)
def test_hostile_words_are_cut_and_cleaned(readme):
    words = "\x1b[31mred\x00 \u202eevil " + "a" * 900_000
    card = read_hub_card(readme(f"---\ntags: x\n---\n{words}\n"))
    assert card.description.startswith("[31mred evil aaa")
    assert len(card.description) == MAX_DESCRIPTION


@pytest.mark.timeout(20)
def test_alias_bombs_do_no_harm(readme):
    lines = ["tags: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    card = read_hub_card(readme("---\n" + "\n".join(lines) + "\nlanguage: *a11\n---\n"))
    assert (card.tags, card.language) == (["lol"] * 9, [])
