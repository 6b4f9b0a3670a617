"""AutoML-GPT on Ray: a language model, a classical optimiser and early metrics share the tuning loop."""

__version__ = "0.1.0"
