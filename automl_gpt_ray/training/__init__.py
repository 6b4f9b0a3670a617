"""Trainers that ship with the package; users of its public API like any other."""
