"""Models of `transformers`: by hub id, from a local folder, or fresh from a configuration.

A trial's configuration names either `model` (hub id or folder) or `model_type` (`bert`, `vit`, `detr`, ...)
with any setting of that type's configuration class beside it, `backbone_config.` before those of a
backbone. Values that are lists are written as JSON text (`"[16, 32]"`). Knows no data and no training.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import CONFIG_MAPPING, AutoConfig

from automl_gpt_ray.errors import JobError, Problem, SpaceError, TrainingError, did_you_mean, shown
from automl_gpt_ray.records import Config

SOURCE = frozenset({"model", "revision", "model_type", "dropout"})
"""Names that say where a model comes from, and `dropout`, which goes to every dropout that is in use."""

_REFUSALS = (ValueError, TypeError, StrictDataclassError)
_NESTED = ("backbone_config", "encoder_config", "text_config", "vision_config")
_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "hidden_dropout", "embd_pdrop")


def architecture_names(config: Config, own: Collection[str]) -> frozenset[str]:
    """Return the names in `config` that describe the model: all but the trainer's `own`.

    Raises:
        SpaceError: A name is neither the trainer's nor one of the model's configuration.
    """
    named = [name for name in config if name not in own and name not in SOURCE]
    known = settings_of(str(config.get("model_type", "")))
    rule = "is no hyperparameter of this trainer, and no setting of the model's configuration"
    wrong = [name for name in named if known and name not in known and name.split(".")[0] not in _NESTED]
    if wrong:
        candidates = {*own, *known}
        raise SpaceError(
            "configuration", [Problem(n, rule, shown(config[n]), did_you_mean(n, candidates)) for n in wrong]
        )
    return frozenset(named)


@cache
def settings_of(model_type: str) -> frozenset[str]:
    """Return the names of the settings of a type's configuration; none for an unknown type."""
    if model_type not in CONFIG_MAPPING:
        return frozenset()
    made = CONFIG_MAPPING[model_type]()
    return frozenset({*made.to_dict(), *getattr(made, "attribute_map", {})})


def describe(config: Config, names: Collection[str], settings: Mapping[str, Any]) -> Any:
    """Return the `transformers` configuration of the model that `config` names.

    Args:
        config: Names `model` or `model_type`.
        names: Those in it that are settings of the model.
        settings: Further settings, which the data decides (classes, image size); they win.

    Raises:
        SpaceError: There is no such type, or it refuses a setting.
        JobError: The hub or folder holds no such model.
    """
    chosen = {name: _value(config[name]) for name in names}
    chosen.update(dict.fromkeys(_DROPOUTS, config["dropout"]) if "dropout" in config else {})
    if config.get("model"):
        flat = {name: value for name, value in chosen.items() if "." not in name and name not in _DROPOUTS}
        return _named(str(config["model"]), {**flat, **settings, "revision": config.get("revision") or "main"})
    return _fresh(str(config.get("model_type", "")), chosen, settings)


def build(auto: Any, config: Config, described: Any, seed: int, resume_from: Path | None = None) -> Any:
    """Return the model: of a checkpoint, or pretrained where `config` names a `model`, else drawn from `seed`.

    Args:
        auto: One of the `AutoModelFor...` classes.
        config: The trial's.
        described: As `describe` returned it.
        seed: Of fresh weights, those of a new head included.
        resume_from: Folder of the checkpoint.

    Raises:
        SpaceError: The settings do not fit each other.
        TrainingError: The checkpoint holds no such model.
        JobError: The hub or folder holds no such model, or it needs a package that is not installed.
    """
    if resume_from:
        model = reload(auto, resume_from)
        set_dropout(model, config)
        return model
    torch.manual_seed(seed)
    name = config.get("model")
    try:
        if name:
            # A head for other classes than the checkpoint's is drawn anew.
            told = {"config": described, "revision": config.get("revision") or "main", "dtype": torch.float32}
            model = auto.from_pretrained(name, ignore_mismatched_sizes=True, **told)
        else:
            described.architectures = described.architectures or []  # types of several classes (DeiT) look there
            model = auto.from_config(described)
    except ImportError as error:
        rule, got = "the model needs a package that is not installed", shown(str(error).strip())
        raise JobError("model", [Problem("model", rule, got, "install it, or choose another model")]) from None
    except OSError as error:
        raise _unreachable(str(name), error) from None
    except (*_REFUSALS, RuntimeError, AssertionError, ZeroDivisionError, IndexError) as error:
        rule = "the settings of the model must fit each other and its type"
        got = shown(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
        raise SpaceError("configuration", [Problem("model" if name else "model_type", rule, got)]) from None
    set_dropout(model, config)
    # DETR freezes a backbone that it takes for pretrained, this one's random weights included.
    return model.requires_grad_(True)


def reload(auto: Any, folder: Path) -> Any:
    """Return the model of a checkpoint, ready to predict.

    Raises:
        TrainingError: The folder holds no such model.
    """
    try:
        model = auto.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        message = f"`{folder}` holds no readable model: {shown(str(error).strip().splitlines()[0])}"
        raise TrainingError("error", message) from error
    return model.requires_grad_(True).to(device()).eval()


def device() -> torch.device:
    """Return the GPU that Ray gave this process, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_dropout(model: nn.Module, config: Config) -> None:
    """Give every dropout that is in use the `dropout` of `config`; nothing changes where it has none.

    Dropouts that a model keeps under names of their own (`attention_dropout` of DETR) stay as they are.
    """
    value = config.get("dropout")
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise SpaceError("configuration", [Problem("dropout", "must be a number from 0 to below 1", shown(value))])
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = float(value)
        elif isinstance(getattr(module, "dropout", None), float):
            setattr(module, "dropout", float(value))  # noqa: B010 - to mypy, a module holds modules and tensors only


def _named(name: str, settings: Mapping[str, Any]) -> Any:
    try:
        return AutoConfig.from_pretrained(name, **settings)
    except OSError as error:
        raise _unreachable(name, error) from None
    except _REFUSALS as error:
        raise SpaceError("configuration", [Problem("model", "must accept the settings", shown(str(error)))]) from None


def _fresh(model_type: str, chosen: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    if model_type not in CONFIG_MAPPING:
        rule = "`model` (hub id or folder) or `model_type` must name a model of transformers"
        remedy = did_you_mean(model_type, CONFIG_MAPPING) if model_type else "add one of them to the Model Card"
        raise SpaceError("configuration", [Problem("model_type", rule, shown(model_type), remedy)])
    flat, nested = _separated(chosen)
    known = settings_of(model_type)
    flat = {name: value for name, value in flat.items() if name in known}
    inner = {name: _nested(name, values) for name, values in nested.items()}
    # DETR and its kin would fetch a backbone from timm unless told otherwise.
    extra = {"use_timm_backbone": False} if "backbone_config" in inner and "use_timm_backbone" in known else {}
    try:
        return AutoConfig.for_model(model_type, **{**flat, **inner, **extra, **settings})
    except _REFUSALS as error:
        rule = f"the configuration of `{model_type}` must accept the settings"
        raise SpaceError("configuration", [Problem("model_type", rule, shown(str(error)))]) from None


def _nested(name: str, values: dict[str, Any]) -> Any:
    model_type = str(values.pop("model_type", ""))
    if model_type not in CONFIG_MAPPING:
        rule = f"`{name}` needs a type of transformers"
        raise SpaceError("configuration", [Problem(f"{name}.model_type", rule, shown(model_type))])
    try:
        return AutoConfig.for_model(model_type, **values)
    except _REFUSALS as error:
        rule = f"the configuration of `{model_type}` must accept the settings"
        raise SpaceError("configuration", [Problem(name, rule, shown(str(error)))]) from None


def _separated(chosen: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    flat: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in chosen.items():
        outer, _, inner = name.partition(".")
        if inner:
            nested.setdefault(outer, {})[inner] = value
        else:
            flat[name] = value
    return flat, nested


def _value(value: Any) -> Any:
    """Return a value of a configuration; text that begins as a JSON list is one."""
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _unreachable(name: str, error: OSError) -> JobError:
    rule = "must be a folder with a model of transformers, or the id of one on the hub, which must be reachable"
    got = f"{shown(name)}: {shown(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)}"
    remedy = "correct the Model Card's `model`, fetch it beforehand, or give `model_type` for fresh weights"
    return JobError("model", [Problem("model", rule, got, remedy)])
