"""Clients of language models, and wrappers around them, behind one method."""
