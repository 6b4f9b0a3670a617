"""Data Cards, Model Cards and Requests: what the system is told about the work to be done."""

from automl_gpt_ray.cards.card_yaml import to_yaml
from automl_gpt_ray.cards.data_card import Column, DataCard, LabelSpace, Loading, load_data_card, parse_data_card
from automl_gpt_ray.cards.describe import describe_file
from automl_gpt_ray.cards.hub import data_card_from_hub, model_card_from_hub, model_facts_from_hub
from automl_gpt_ray.cards.hub_readme import HubCard, HubResult, read_hub_card
from automl_gpt_ray.cards.model_card import GROUPS, Group, ModelCard, Suits, load_model_card, parse_model_card
from automl_gpt_ray.cards.request import Constraints, CustomMetric, Request, parse_request

__all__ = [
    "GROUPS",
    "Column",
    "Constraints",
    "CustomMetric",
    "DataCard",
    "Group",
    "HubCard",
    "HubResult",
    "LabelSpace",
    "Loading",
    "ModelCard",
    "Request",
    "Suits",
    "data_card_from_hub",
    "describe_file",
    "load_data_card",
    "load_model_card",
    "model_card_from_hub",
    "model_facts_from_hub",
    "parse_data_card",
    "parse_model_card",
    "parse_request",
    "read_hub_card",
    "to_yaml",
]
