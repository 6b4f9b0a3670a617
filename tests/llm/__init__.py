"""Tests of the clients; a package, so that test modules of other folders may share their names."""
