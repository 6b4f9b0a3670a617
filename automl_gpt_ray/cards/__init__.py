"""Data Cards, Model Cards and Requests: what the system is told about the work to be done."""

from automl_gpt_ray.cards.data_card import Column, DataCard, LabelSpace, Loading, load_data_card, parse_data_card
from automl_gpt_ray.cards.model_card import GROUPS, Group, ModelCard, load_model_card, parse_model_card
from automl_gpt_ray.cards.request import Constraints, CustomMetric, Request, parse_request

__all__ = [
    "GROUPS",
    "Column",
    "Constraints",
    "CustomMetric",
    "DataCard",
    "Group",
    "LabelSpace",
    "Loading",
    "ModelCard",
    "Request",
    "load_data_card",
    "load_model_card",
    "parse_data_card",
    "parse_model_card",
    "parse_request",
]
