"""JSON schemas of job and cards, and the reference made of them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from automl_gpt_ray import cli
from automl_gpt_ray.config import Job
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.reference import reference
from automl_gpt_ray.schema import MODELS, attributes, models_in, schema
from automl_gpt_ray.yaml_file import parse_yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    *((path, "job") for path in sorted((ROOT / "configs").glob("*.yaml"))),
    *((path, "data-card") for path in sorted((ROOT / "configs/cards/data").glob("*.yaml"))),
    *((path, "model-card") for path in sorted((ROOT / "configs/cards/models").glob("*.yaml"))),
]


@pytest.mark.parametrize(("path", "kind"), FILES, ids=[f"{kind}-{path.stem}" for path, kind in FILES])
def test_what_ships_fits_its_schema(path, kind):
    values = parse_yaml(path.read_text(encoding="utf-8"), str(path), JobError)
    jsonschema.Draft202012Validator(schema(kind)).validate(values)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("job", {"data_card": "a.yaml", "trails": 3}),
        ("job", {"data_card": "a.yaml", "trials": 0}),
        ("job", {"trials": 3}),
        ("job", {"data_card": {"name": "x"}}),
        ("job", {"data_card": "a.yaml", "scheduler": {"type": "hyperband"}}),
        ("data-card", {"name": "x"}),
        ("model-card", {"name": "x", "structure": "y"}),
    ],
)
def test_mistakes_do_not_fit(kind, values):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema(kind)).validate(values)


@pytest.mark.parametrize("values", [{"experience": "off"}, {"experience": False}, {"experience": {"recall": 1}}])
def test_short_forms_fit(values):
    whole = {"data_card": "a.yaml", "model_card": "b.yaml", **values}
    jsonschema.Draft202012Validator(schema("job")).validate(whole)


@pytest.mark.parametrize("kind", MODELS)
def test_every_field_of_the_top_is_explained(kind):
    fields = schema(kind)["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_documentation_names_only_fields_that_are():
    for kind in MODELS:
        for model in models_in(MODELS[kind]):
            named = attributes(model)
            assert set(named) <= set(getattr(model, "model_fields", named)), model.__name__


def test_several_lines_of_documentation_become_one():
    told = attributes(Job)["reuse_actors"]
    assert told.startswith("Whether one worker process trains several trials")
    assert told.endswith("node has died.")


def test_the_reference_is_up_to_date():
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == reference(), "run `automl-gpt-ray schema reference > docs/reference.md`"


def test_the_command():
    for kind in MODELS:
        done = CliRunner().invoke(cli.app, ["schema", kind])
        assert json.loads(done.output) == json.loads(json.dumps(schema(kind)))
    assert CliRunner().invoke(cli.app, ["schema", "reference"]).output == reference()
