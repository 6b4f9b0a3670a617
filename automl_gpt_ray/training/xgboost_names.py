"""The names that XGBoost knows; importing them needs no XGBoost."""

from __future__ import annotations

_TREE = {"max_depth", "max_leaves", "grow_policy", "max_bin", "max_cat_to_onehot", "max_cat_threshold"}
_GROWTH = {"eta", "min_child_weight", "gamma", "lambda", "alpha", "max_delta_step", "scale_pos_weight"}
_SAMPLING = {"subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode", "num_parallel_tree"}

PARAMETERS = frozenset(_TREE | _GROWTH | _SAMPLING)
"""Names in a configuration that go to XGBoost as they are."""

DEFAULT_ROUNDS = 10
"""Boosting rounds of a step where a configuration does not say."""
