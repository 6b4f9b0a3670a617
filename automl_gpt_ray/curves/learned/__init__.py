"""A small transformer that forecasts curves in context, trained on synthetic problems only; needs torch."""
