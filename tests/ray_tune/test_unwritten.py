"""What a person is told when the disk takes no more of a run's journal; without Ray's own processes."""

from __future__ import annotations

import traceback

import pytest
from ray.tune.error import TuneError

from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.ray_tune import fit
from automl_gpt_ray.ray_tune.failure import journal_error

FULL = "cannot write the journal `runs/x/journal.jsonl`: No space left on device"


def raised(make, error):
    """The error that `make` makes of one that is being handled, as Ray does."""
    try:
        try:
            raise error
        except type(error) as caught:
            make(caught)
    except TuneError as found:
        return found


def while_handled(error):
    raise TuneError(traceback.format_exc())


def caused(error):
    raise TuneError("the search ended") from error


def as_text(error):
    raise TuneError(traceback.format_exc() + "\n\nDuring handling another one occurred") from None


@pytest.mark.parametrize("make", [while_handled, caused, as_text])
def test_a_journal_that_cannot_be_written_is_the_error_of_the_search(monkeypatch, make):
    def ends(*_):
        raise raised(make, JournalError(FULL))

    monkeypatch.setattr(fit, "_search", ends)
    with pytest.raises(JournalError) as found:
        fit.search(*[None] * 4)
    assert str(found.value) == FULL


def test_text_alone_is_enough_where_ray_kept_no_more():
    told = traceback.format_exception(JournalError(FULL))
    assert str(journal_error(TuneError("".join(told)))) == FULL


def test_other_errors_of_ray_are_its_own(monkeypatch):
    def ends(*_):
        raise raised(while_handled, ValueError("a bug"))

    monkeypatch.setattr(fit, "_search", ends)
    with pytest.raises(TuneError, match="a bug"):
        fit.search(*[None] * 4)
