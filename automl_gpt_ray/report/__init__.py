"""The report of a run: one HTML file from its journal alone; no network, no other file."""
