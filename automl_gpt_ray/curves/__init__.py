"""Learning curves: predicting them, and scoring the predictions."""
