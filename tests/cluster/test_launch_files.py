"""The launch files: Ray's own schema, KubeRay's fields, and every value to change marked and explained."""

from __future__ import annotations

import ast
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import ray
import yaml

from automl_gpt_ray.config import LLMOptions

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "cluster"
FIELDS = yaml.safe_load((Path(__file__).parent / "kuberay_fields.yaml").read_text())
AUTOSCALED = ("aws", "gcp", "onprem")
KUBERAY = ("raycluster", "rayjob")
TYPES = {"text": str, "flag": bool, "number": int, "pod": dict}


def loaded(name):
    return yaml.safe_load((CLUSTER / name).read_text())


def wrong(value, kind, where=""):
    """Return what in `value` is not of `kind`, by path."""
    if kind == "any":
        return []
    if kind == "texts":
        return [f"{where}.{k}" for k, v in value.items() if not isinstance(v, str)]
    if isinstance(kind, list) and isinstance(value, list):
        return [line for i, item in enumerate(value) for line in wrong(item, kind[0], f"{where}[{i}]")]
    if isinstance(kind, list):
        return [] if value in kind else [f"{where}: {value}"]
    if kind in TYPES:
        fits = isinstance(value, TYPES[kind]) and (kind != "number" or not isinstance(value, bool))
        return [] if fits and (kind != "pod" or value.get("spec", {}).get("containers")) else [where]
    known = FIELDS[kind]
    unknown = [f"{where}.{name}" for name in value if name not in known]
    return unknown + [line for n, v in value.items() if n in known for line in wrong(v, known[n], f"{where}.{n}")]


@pytest.mark.parametrize("name", AUTOSCALED)
def test_the_autoscaler_takes_it(name):
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(loaded(f"{name}.yaml")))


@pytest.mark.parametrize("change", [{"provider": {}}, {"max_workers": "many"}, {"no_such_key": 1}])
def test_the_autoscaler_would_refuse_what_is_wrong(change):
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(Exception):  # noqa: B017 - each mistake has its own class
        validate_config(prepare_config(loaded("aws.yaml") | change))


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_a_cloud_has_a_head_for_drivers_and_gpus_on_spot(name):
    types = loaded(f"{name}.yaml")["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    worker = types["gpu_spot"]
    assert worker["min_workers"] == 0
    assert "spot" in yaml.safe_dump(worker["node_config"]).lower()


@pytest.mark.parametrize("name", KUBERAY)
def test_kuberay_knows_every_field(name):
    found = loaded(f"kuberay/{name}.yaml")
    assert found["apiVersion"] == "ray.io/v1"
    assert wrong(found, found["kind"]) == []


def test_the_check_of_fields_can_fail():
    found = loaded("kuberay/raycluster.yaml")
    found["spec"]["workerGroupSpecs"][0] |= {"maxReplica": 3, "replicas": "2", "rayStartParams": {"num-cpus": 1}}
    found["spec"]["autoscalerOptions"]["upscalingMode"] = "Fast"
    assert len(wrong(found, "RayCluster")) == 4


@pytest.mark.parametrize("name", KUBERAY)
def test_the_manifests_name_rays_version(name):
    spec = loaded(f"kuberay/{name}.yaml")["spec"]
    assert spec.get("rayClusterSpec", spec)["rayVersion"] == version("ray")


@pytest.mark.parametrize("name", ["slurm.sh", "local.sh"])
def test_the_scripts_are_shell(name):
    assert subprocess.run(["bash", "-n", CLUSTER / name], check=False).returncode == 0


def test_the_local_script_ends_only_what_it_began():
    text = (CLUSTER / "local.sh").read_text()
    assert "ray stop" not in text
    assert "pkill" not in text


def model_fields(name):
    source = Path(ray.__file__).parent / "llm/_internal/serve/core/configs/llm_config.py"
    tree = ast.parse(source.read_text())
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {n.target.id for n in found.body if isinstance(n, ast.AnnAssign)}


def test_the_language_model_is_served_as_ray_serve_takes_it():
    served = loaded("serve_llm.yaml")
    assert set(served) <= {
        "proxy_location",
        "http_options",
        "applications",
        "grpc_options",
        "logging_config",
        "target_capacity",
    }
    (application,) = served["applications"]
    assert application["import_path"] == "ray.serve.llm:build_openai_app"
    (config,) = application["args"]["llm_configs"]
    assert set(config) <= model_fields("LLMConfig")
    assert set(config["model_loading_config"]) <= model_fields("ModelLoadingConfig")
    # A prompt of the default length and the reply fit.
    longest = LLMOptions(model="x").max_prompt_tokens
    assert config["engine_kwargs"]["max_model_len"] >= longest + 4096


def marked():
    files = [path for path in CLUSTER.rglob("*") if path.suffix in (".yaml", ".sh")]
    return {path: [line for line in path.read_text().splitlines() if re.search(r"\bCHANGE\b", line)] for path in files}


def test_every_value_to_change_is_marked_and_its_file_explained():
    readme = (CLUSTER / "README.md").read_text()
    for path, lines in marked().items():
        name = str(path.relative_to(CLUSTER))
        assert name in readme
        own = [line for line in lines if not re.match(r"\s*#( |!)", line)]
        assert own, name
        for line in own:
            key = re.match(r"[\s\-]*(?:#SBATCH --)?(?:export )?\"?([\w./~-]+)", line)
            assert f"`{key.group(1)}`" in readme, f"{name}: {key.group(1)} is not explained"


@pytest.mark.parametrize("placeholder", ["my-project", "my-bucket", "registry.example.com", "ami-0000", "10.0.0."])
def test_no_placeholder_is_left_unmarked(placeholder):
    for path in marked():
        for line in path.read_text().splitlines():
            if placeholder in line and not line.lstrip().startswith(("#", "sh -c")):
                assert "CHANGE" in line, f"{path.name}: {line}"
