"""The copy of the journal in Ray's snapshot: as new as the last save, and never the journal itself."""

from __future__ import annotations

import json

import pytest

from automl_gpt_ray.ray_tune.snapshot import COPY, bring_journal, keep_journal


@pytest.fixture
def places(tmp_path):
    (tmp_path / "snapshot").mkdir()
    journal = tmp_path / "journal.jsonl"
    journal.write_text("".join(f"line {n} of the journal\n" for n in range(1000)))
    return journal, tmp_path / "snapshot" / "state.json"


def test_each_save_holds_the_whole_journal(places):
    journal, state = places
    copy = state.parent / COPY
    for more in ("", "one more\n", "", "and\nmore\n"):
        with journal.open("a") as file:
            file.write(more)
        keep_journal(journal, state)
        assert copy.read_bytes() == journal.read_bytes()
        assert json.loads(state.read_text()) == {"journal": str(journal)}
    assert sorted(path.name for path in state.parent.iterdir()) == sorted([COPY, state.name])


def test_only_what_is_new_is_written(places):
    journal, state = places
    keep_journal(journal, state)
    copy = state.parent / COPY
    before = copy.stat().st_ino
    with journal.open("a") as file:
        file.write("one more\n")
    keep_journal(journal, state)
    assert copy.stat().st_ino == before


@pytest.mark.parametrize("other", ["", "of another run\n" * 9, "x" * 100_000], ids=["empty", "another", "longer"])
def test_what_is_no_older_copy_is_replaced(places, other):
    journal, state = places
    (state.parent / COPY).write_text(other)
    keep_journal(journal, state)
    assert (state.parent / COPY).read_bytes() == journal.read_bytes()


def test_what_ray_writes_over_the_copy_does_not_reach_the_journal(places):
    journal, state = places
    before = journal.read_bytes()
    keep_journal(journal, state)
    (state.parent / COPY).write_bytes(b"an older one")  # in place, as Ray fetches a snapshot
    assert journal.read_bytes() == before


def test_a_linked_copy_of_an_earlier_version_is_replaced(places):
    journal, state = places
    (state.parent / COPY).hardlink_to(journal)
    keep_journal(journal, state)
    assert not (state.parent / COPY).samefile(journal)
    assert (state.parent / COPY).read_bytes() == journal.read_bytes()


def test_a_journal_that_is_gone_is_brought(places):
    journal, state = places
    keep_journal(journal, state)
    content = journal.read_bytes()
    journal.unlink()
    bring_journal(journal, state)
    assert journal.read_bytes() == content
