"""Advisors: who proposes configurations and reviews running trials."""
