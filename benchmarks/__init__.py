"""Measurements of speed and quality, paired and seeded; each is `python -m benchmarks.NAME`."""
